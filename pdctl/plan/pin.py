"""Plan `pin`: hold slots where they are, so that nothing moves them to another pool."""

from __future__ import annotations

from collections.abc import Sequence

from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment
from pdctl.model.hold import Hold, HoldKind
from pdctl.model.observed import Observed
from pdctl.plan.held import whose
from pdctl.plan.steps import Action, Change, ChangeKind, Plan, Step


def plan_pin(deployment: Deployment, observed: Observed, slots: Sequence[str], hold: Hold) -> Plan:
    """Hold `slots` where they are. Raises PlanRefused where one is held otherwise, or by somebody else."""
    standing, node = observed.holds.standing, deployment.lease_node
    other = next((standing[slot] for slot in slots if slot in standing and not _may_repin(standing[slot], hold)), None)
    if other is not None:
        raise PlanRefused(f"{other.slot} is {whose(other)}", hint="`pdctl undrain` takes that hold away")
    steps = tuple(Step(Action.HOLD, slot, node, whose(hold)) for slot in slots)
    changes = tuple(Change(ChangeKind.HOLD, slot, node, whose(hold)) for slot in slots)
    return Plan("pin", changes, steps)


def _may_repin(before: Hold, hold: Hold) -> bool:
    return before.kind is HoldKind.PINNED and before.by == hold.by
