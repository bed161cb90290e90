"""Two entries of an inventory that turn out to be one machine: their GPUs would be given out twice."""

from __future__ import annotations

from itertools import combinations

from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment
from pdctl.model.observed import NodeView, Observed


def refuse_one_machine(deployment: Deployment, observed: Observed) -> None:
    """Raises PlanRefused, naming the entries, where two share a machine and do not say so by the same `host_id`."""
    for one, other in combinations(observed.nodes.values(), 2):
        if _same(one, other) and not _told(deployment, one.node, other.node):
            raise PlanRefused(
                f"{one.node} and {other.node} are one machine (boot id {one.boot_id})",
                hint="take one of them out of the inventory; or, if each has GPUs of its own there, give both the same "
                "`host_id`",
            )


def _same(one: NodeView, other: NodeView) -> bool:
    """Machines that were installed from one image may share a machine id, and never a boot; containers of one machine
    share its boot, and never the place where our state lies."""
    known = bool(one.boot_id and one.place)
    return known and (one.boot_id, one.machine_id, one.place) == (other.boot_id, other.machine_id, other.place)


def _told(deployment: Deployment, one: str, other: str) -> bool:
    host_id = deployment.nodes[one].host_id
    return host_id is not None and host_id == deployment.nodes[other].host_id
