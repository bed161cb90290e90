"""What `check` does on request besides looking: T2 over the fabric, T3 floors. The report is judged anew with both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pdctl.control.check_scope import registry_for
from pdctl.control.cluster import Cluster
from pdctl.control.fabric_check import FabricLimits, run_fabric
from pdctl.control.floor_check import FloorRun
from pdctl.health.check import Fleet
from pdctl.health.fabric import FabricPlan, plan_fabric
from pdctl.health.fabric_site import fabric_site
from pdctl.health.fabric_verdict import SessionResult, fabric_checks, fabric_figure
from pdctl.health.floors import floor_checks, floor_figures
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
    checks, figures = registry.fleet, registry.figures
    if deeper.fabric:
        plan = planned(cluster, fleet, deeper)
        results = await _fabric(cluster, plan, deeper, tested)
        checks, figures = (*checks, *fabric_checks(results, plan.refused)), (*figures, fabric_figure(results))
    if deeper.floors:
        reached = {name: fleet.expected[name] for name in fleet.nodes if fleet.expected[name].serving_known}
        measured = await FloorRun(cluster.shells).measure(reached)
        checks, figures = (*checks, *floor_checks(measured)), (*figures, *floor_figures(measured))
    return judge(fleet, replace(registry, fleet=checks, figures=figures))


def planned(cluster: Cluster, fleet: Fleet, deeper: Deeper) -> FabricPlan:
    """The sessions that `check_deeper` would run."""
    return plan_fabric(cluster.deployment, fabric_site(fleet), scope=deeper.scope)


async def _fabric(cluster: Cluster, plan: FabricPlan, deeper: Deeper, tested: Tested) -> list[SessionResult]:
    total = sum(len(sessions) for sessions in plan.rounds)
    results: list[SessionResult] = []
    async for result in run_fabric(plan, cluster.shells, cluster.clock, deeper.limits):
        results.append(result)
        tested(result, len(results), total)
    return results
