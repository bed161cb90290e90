"""Plan what `check --fix` may do: nothing but what is on this list, and only where it was found to be wrong.

- `kernel.numa_balancing` is set to 0 (ROCm's system tuning guide: page migration stalls GPU kernels);
- engines of ours that live, are in no inventory and in nobody's rotation are stopped: they hold GPUs for nobody.
"""

from __future__ import annotations

from collections.abc import Iterable

from pdctl.model.deployment import Deployment
from pdctl.model.observed import Observed
from pdctl.model.role import UnitKind
from pdctl.model.unit import UnitState
from pdctl.plan.steps import Action, Change, ChangeKind, Plan, Step


def plan_fix(deployment: Deployment, observed: Observed, numa_balancing: Iterable[str]) -> Plan:
    """The repairs. `numa_balancing`: nodes where it was seen to be on."""
    changes: list[Change] = []
    steps: list[Step] = []
    for node in numa_balancing:
        if node in observed.nodes:
            reason = "kernel.numa_balancing is on"
            changes.append(Change(ChangeKind.FIX, node, node, f"{reason}: set it to 0"))
            steps.append(Step(Action.STOP_NUMA_BALANCING, node, node, reason))
    for name, node in stale(deployment, observed):
        reason = "a unit of ours that is in no inventory and in nobody's rotation"
        changes.append(Change(ChangeKind.STOP, name, node, reason))
        steps.append(Step(Action.STOP, name, node, reason))
    return Plan("check --fix", tuple(changes), tuple(steps))


def stale(deployment: Deployment, observed: Observed) -> tuple[tuple[str, str], ...]:
    """(unit, node) of living engines of this cluster that nobody asked for. None where the members are not known: one
    of them may still be served from."""
    if observed.membership is None and any(_lives(name, observed) for name in ("registrar", "router")):
        return ()
    members = observed.membership.members if observed.membership is not None else {}
    wanted = {part.name for instance in deployment.instances for part in instance.parts}
    return tuple(
        (unit.labels.instance, view.node)
        for view in observed.nodes.values()
        for unit in view.units
        if unit.labels.kind is UnitKind.ENGINE
        and unit.state is UnitState.RUNNING
        and unit.labels.instance not in wanted
        and unit.labels.instance not in members
    )


def _lives(name: str, observed: Observed) -> bool:
    unit = observed.unit(name)
    return unit is None or unit.state in (UnitState.RUNNING, UnitState.UNKNOWN)
