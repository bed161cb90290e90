"""Simulated nodes for a whole package of tests, and the operators who work on them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from pdctl.control.demo_record import MARKER, DemoNode, DemoNodes, read_nodes
from pdctl.control.opened import open_cluster
from pdctl.control.status import as_json
from pdctl.control.status import status as cluster_status
from tests.fleet.command import Done, Json, Operator
from tests.fleet.traces import END_S, processes
from tests.waiting import wait_until

Edit = Callable[[Json], None]


@dataclass(frozen=True, slots=True)
class Site:
    """Nodes that are up, and the first operator's machine."""

    nodes: DemoNodes
    operator: Operator

    def node(self, name: str) -> DemoNode:
        return next(node for node in self.nodes.nodes if node.name == name)

    def with_inventory(self, directory: Path, edit: Edit) -> Operator:
        """The same operator with an inventory of their own in `directory`: the nodes' one, edited as parsed YAML."""
        document = self.operator.inventory_document()
        edit(document)
        operator = replace(self.operator, inventory=directory / "inventory.yaml")
        operator.write_inventory(document)
        return operator

    @property
    def router_url(self) -> str:
        return f"http://127.0.0.1:{self.nodes.router_port}"

    def unit_dir(self, node: str, unit: str, cluster: str = "demo") -> Path:
        """Where the node keeps a unit."""
        return Path(self.node(node).home, ".local/state/pdctl", cluster, "units", f"pdctl.{cluster}.{unit}")


@contextmanager
def simulated_nodes(directory: Path, *options: str) -> Iterator[Site]:
    """A fleet that ends with this context, and with this process whatever way that ends.

    It hangs on a pipe that only we can write to, and is nobody's child, so that what runs on its nodes is not taken
    for something that the test of the moment left behind.
    """
    home, fleet = directory / "nodes", uuid.uuid4().hex
    home.mkdir(parents=True)
    adopt = 'exec 3<&0; "$@" <&3 3<&- &'
    command = [sys.executable, "-m", "pdctl.sim.fleet", "--dir", str(home), "--owner-fd", "0", *options]
    log = directory / "fleet.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            ["/bin/sh", "-c", adopt, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, MARKER: fleet},
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n", log.read_text()
        process.stdout.close()
        process.wait(10)
        nodes = read_nodes(home)
        assert nodes is not None
        yield Site(nodes, Operator(directory / "state", nodes.inventory))
    finally:
        process.stdin.close()
        process.wait(10)
        asyncio.run(wait_until(lambda: not processes(fleet), END_S, what="the fleet has ended"))


async def status(operator: Operator) -> Json:
    """What `pdctl status --json` says, looked up in this process: that command is tested by tests of its own."""
    assert operator.inventory is not None
    async with open_cluster(operator.inventory) as opened:
        seen: Json = json.loads(json.dumps(as_json(await cluster_status(opened.cluster)), default=str))
    return seen


def of(seen: Json, name: str) -> Json:
    """One instance or service of a status."""
    found: Json = next(view for view in [*seen["instances"], *seen["services"]] if view["name"] == name)
    return found


def launches(seen: Json) -> dict[str, tuple[Any, Any, Any]]:
    """What changes when something is started anew: (pid, generation, endpoint) by name."""
    views = [*seen["instances"], *seen["services"]]
    return {view["name"]: (view["pid"], view["generation"], view["endpoint"]) for view in views}


def failures(done: Done) -> dict[str, Json]:
    """The first failed step of each subject."""
    found: dict[str, Json] = {}
    for event in done.events("step_failed"):
        found.setdefault(event["subject"], event)
    return found


def changes(plan: Json) -> dict[str, str]:
    """Kind of change by subject."""
    return {change["subject"]: change["kind"] for change in plan["changes"]}


def alive(pid: int) -> bool:
    """Whether the process lives; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
