"""Node side: the `docker` supervisor's actions that start and stop nothing: inspect, take, forget."""

import os

from pdctl.supervisors.docker_cli_on_node import LABEL, container_named, containers_of, is_live
from pdctl.supervisors.docker_unit_on_node import KIND, Container, discard_container
from pdctl.supervisors.node_state_on_node import (
    Locked,
    Refusal,
    entries,
    ledger_view,
    read_ledger,
    take_generations,
)
from pdctl.supervisors.proc_on_node import live_generations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Guard = Callable[[str], None]


def inspect(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """Every unit of the cluster that has a container or a record, and whose containers of others hold GPUs."""
    cluster_dir = os.path.join(root, cluster)
    shown = {}
    others = []
    for found in containers_of(LABEL + "cluster"):
        labels = found["labels"]
        if labels is not None and labels["cluster"] == cluster:
            shown[found["name"]] = found
        elif labels is not None and labels["gpus"] and is_live(found):
            others.append(found["name"])
    names = set(entries(os.path.join(cluster_dir, "units"))) | set(shown)
    units = [Container(cluster_dir, name, shown.get(name)) for name in sorted(names)]
    facts = [unit.facts() for unit in units if unit.ours() and not unit.elsewhere()]
    return dict(ledger_view(cluster_dir), units=facts, others=sorted(others))


def take(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """A lost ledger goes on past what lives and past every container that is left."""
    cluster_dir = os.path.join(root, cluster)
    with Locked(root):
        os.makedirs(cluster_dir, mode=0o700, exist_ok=True)
        guard(cluster_dir)
        seen = []
        if read_ledger(cluster_dir) is None:
            left = [found["labels"] for found in containers_of("{}cluster={}".format(LABEL, cluster))]
            seen = live_generations(cluster_dir) + [labels["generation"] for labels in left if labels is not None]
        return take_generations(cluster_dir, request["count"], seen)


def forget(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """Remove ended containers and what else their units left, but for their logs."""
    cluster_dir = os.path.join(root, cluster)
    with Locked(root):
        guard(cluster_dir)
        units = [Container(cluster_dir, name, container_named(name)) for name in request["units"]]
        for unit in units:
            if unit.ours() and unit.lives():
                raise Refusal("alive", "{} still lives".format(unit.name), "stop it first")
        for unit in units:
            kept_by_us = unit.spec is None or unit.kept_by() == KIND
            if unit.ours() and kept_by_us and not unit.elsewhere():
                discard_container(unit)
    return {}
