"""Node side: the `process` supervisor's actions that start and stop nothing: inspect, take, forget."""

import os

from pdctl.supervisors.node_state_on_node import (
    Locked,
    Refusal,
    entries,
    ledger_view,
    read_ledger,
    take_generations,
)
from pdctl.supervisors.proc_on_node import live_generations
from pdctl.supervisors.unit_on_node import Unit, discard, units_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Guard = Callable[[str], None]


def inspect(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    cluster_dir = os.path.join(root, cluster)
    others = []
    for other in entries(root):
        for unit in units_in(os.path.join(root, other)) if other != cluster else ():
            if (unit.spec or {}).get("labels", {}).get("gpus") and unit.lives():
                others.append(unit.name)
    mine = [unit for unit in units_in(cluster_dir) if unit.kept_by() == "process"]
    units = [unit.facts() for unit in mine if not unit.elsewhere()]
    view = ledger_view(cluster_dir)
    fresh = view["fresh"] and not live_generations(cluster_dir)
    return dict(view, units=units, others=others, fresh=fresh)


def take(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    cluster_dir = os.path.join(root, cluster)
    with Locked(root):
        os.makedirs(cluster_dir, mode=0o700, exist_ok=True)
        guard(cluster_dir)
        known = read_ledger(cluster_dir) is not None
        return take_generations(cluster_dir, request["count"], [] if known else live_generations(cluster_dir))


def forget(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    cluster_dir = os.path.join(root, cluster)
    with Locked(root):
        guard(cluster_dir)
        units = [Unit(cluster_dir, name) for name in request["units"]]
        for unit in units:
            if unit.lives():
                raise Refusal("alive", "{} still lives".format(unit.name), "stop it first")
        for unit in units:
            if os.path.isdir(unit.directory) and not unit.elsewhere():
                discard(unit)
    return {}
