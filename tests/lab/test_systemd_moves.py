"""Roles change to and fro on five hosts under systemd, the controller is killed at random steps, and nothing is lost.

PDCTL_LAB_MOVES says how many moves of each mode (default 3), PDCTL_LAB_SEED which steps (default 1).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pdctl.bench.load import run_load
from pdctl.model.load import LoadReport, LoadSpec
from tests.lab.inventory_for import Wanted
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd
from tests.lab.operators import Operator, operator_of
from tests.lab.systemd_rig import cluster_of

MOVES = int(os.environ.get("PDCTL_LAB_MOVES", "3"))
SEED = int(os.environ.get("PDCTL_LAB_SEED", "1"))
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300 + 120 * MOVES)]

STEPS = ("fence", "drain", "write the inventory", "stop", "start", "await ready", "canary", "register")
OPPOSITE = {"prefill": "decode", "decode": "prefill"}
ENGINES = tuple(f"h{number}.main.0" for number in range(1, 6))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(5, Systemd()) as made:
        yield made


@dataclass(slots=True)
class Shuttle:
    """An operator who moves nodes between 2P3D and 1P4D, and whose controller dies now and then."""

    operator: Operator
    dice: random.Random
    killed_at: list[str] = field(default_factory=list)
    ports: dict[tuple[str, int], str] = field(default_factory=dict)

    async def move(self, donor: str) -> None:
        """One node of pool `donor` to the other pool, whatever becomes of the controller on the way."""
        before = await self.operator.status()
        node = self.dice.choice([name for name in ENGINES if before[name]["pool"] == donor]).partition(".")[0]
        wanted = OPPOSITE[donor]
        if self.dice.random() < 0.6:
            await self._killed(node, wanted)
            await self.operator.elsewhere().succeeds("up")
        if (await self.operator.status())[f"{node}.main.0"]["pool"] != wanted:
            await self.operator.succeeds("move", node, "--to", wanted)
        await self._as_wanted(node, wanted)

    async def _killed(self, node: str, pool: str) -> None:
        """A move whose controller is killed at a random step, as it begins or as it ended."""
        action, event = self.dice.choice(STEPS), self.dice.choice(["step_started", "step_done"])
        async with self.operator.starts("move", node, "--to", pool) as moving:
            await moving.has_said(event, action=action)
            moving.process.kill()
        self.killed_at.append(f"{event} {action}")

    async def _as_wanted(self, node: str, pool: str) -> None:
        seen = await self.operator.status()
        assert {seen[name]["state"] for name in ENGINES} == {"serving"}, seen
        assert seen[f"{node}.main.0"]["pool"] == pool
        for name in ENGINES:
            await self._no_port_of_another_launch(name, seen[name])

    async def _no_port_of_another_launch(self, name: str, view: dict[str, Any]) -> None:
        host = self.operator.lab.hosts[name.partition(".")[0]]
        launch = f"{name} generation {view['generation']}"
        for port in (await self.operator.record(host, name))["ports"]:
            assert self.ports.setdefault((host.name, port), launch) == launch, f"port {port} of {host.name} again"


async def streams(operator: Operator, over: asyncio.Event, mode: str) -> LoadReport:
    """Streaming requests until it is over; in READ many long prompts, so that they queue."""
    concurrency, isl = (24, 2048) if mode == "read" else (8, 256)
    spec = LoadSpec(
        url=operator.url, model="lab/simulated-moe", concurrency=concurrency, isl=isl, osl=24, requests=1_000_000
    )
    return await run_load(spec, stop=over.is_set)


@pytest.mark.parametrize("mode", ["write", "read"])
async def test_controller_killed_at_random_steps_of_moves_under_streaming_load(
    lab: Lab, tmp_path: Path, mode: str, request: pytest.FixtureRequest
) -> None:
    # A tenth of the speed: a prompt of 2048 tokens takes 0.6 s, and two dozen clients of one prefill engine queue for
    # longer than the router's TTL and the settling time together.
    slow = {"PDCTL_SIM_SPEED": "0.1"} if mode == "read" else {}
    wanted = Wanted(2, 3, cluster=cluster_of(request.node.name), supervisor="systemd", mode=mode, env=slow)
    operator = operator_of(lab, tmp_path, wanted)
    first = operator.inventory.read_bytes()
    shuttle, over = Shuttle(operator, random.Random(f"{SEED} {mode}")), asyncio.Event()
    try:
        await operator.succeeds("up")
        load = asyncio.create_task(streams(operator, over, mode))
        try:
            for number in range(MOVES):
                await shuttle.move("prefill" if number % 2 == 0 else "decode")
        finally:
            over.set()
            report = await load
        again = await operator.succeeds("up")
        assert not again.events("step_done"), "a second run is empty"
        print(f"{mode}: {MOVES} moves, {report.counts}, killed at {shuttle.killed_at}")
        assert report.counts.failed == 0, report.failures
        assert report.counts.ok > 0
        assert shuttle.killed_at
        after = operator.inventory.read_bytes()
        assert after.replace(b"decode", b"prefill") == first.replace(b"decode", b"prefill"), "only pools' words changed"
    finally:
        await operator.succeeds("down", "--now")
