"""What `check` does on request besides looking: T2 over the fabric, T3 floors. The report is judged anew with both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pdctl.control.check_scope import registry_for
from pdctl.control.cluster import Cluster
from pdctl.control.fabric_check import FabricLimits, run_fabric
from pdctl.control.floor_check import FloorRun
from pdctl.health.check import Fleet, FleetCheck
from pdctl.health.fabric import FabricPlan, plan_fabric
from pdctl.health.fabric_site import fabric_site
from pdctl.health.fabric_verdict import SessionResult, fabric_checks
from pdctl.health.floors import floor_checks
from pdctl.health.judge import judge
from pdctl.health.report import Report


@dataclass(frozen=True, slots=True)
class Deeper:
    """What to do besides T1. `scope`: ids of the slots that are meant; None: all."""

    fabric: bool = False
    floors: bool = False
    scope: frozenset[str] | None = None
    limits: FabricLimits = field(default_factory=FabricLimits)


Tested = Callable[[SessionResult, int, int], None]
"""Told each session's result as it comes, how many came and how many there are."""


async def check_deeper(
    cluster: Cluster, fleet: Fleet, deeper: Deeper, *, tested: Tested = lambda result, done, total: None
) -> Report:
    """The report of `fleet` with what was measured now. Raises InventoryError as `check` does."""
    registry = registry_for(cluster.deployment)
    more: tuple[FleetCheck, ...] = ()
    if deeper.fabric:
        more += await _fabric(cluster, planned(cluster, fleet, deeper), deeper, tested)
    if deeper.floors:
        reached = {name: fleet.expected[name] for name in fleet.nodes if fleet.expected[name].serving_known}
        more += floor_checks(await FloorRun(cluster.shells).measure(reached))
    return judge(fleet, replace(registry, fleet=(*registry.fleet, *more)))


def planned(cluster: Cluster, fleet: Fleet, deeper: Deeper) -> FabricPlan:
    """The sessions that `check_deeper` would run."""
    return plan_fabric(cluster.deployment, fabric_site(fleet), scope=deeper.scope)


async def _fabric(cluster: Cluster, plan: FabricPlan, deeper: Deeper, tested: Tested) -> tuple[FleetCheck, ...]:
    total = sum(len(sessions) for sessions in plan.rounds)
    results: list[SessionResult] = []
    async for result in run_fabric(plan, cluster.shells, cluster.clock, deeper.limits):
        results.append(result)
        tested(result, len(results), total)
    return fabric_checks(results, plan.refused)
