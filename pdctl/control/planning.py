"""`plan`: what `up` would do now, and what the operator changed; read-only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pdctl.control.base import BaseRecord, check_base
from pdctl.control.cluster import Cluster
from pdctl.control.departed import see_departed
from pdctl.control.history import record
from pdctl.control.lease import Applied
from pdctl.control.observe import observe
from pdctl.control.opened import Opened
from pdctl.control.up import UpOptions, decide, refuse_unsupported
from pdctl.control.wanted import applied_deployment
from pdctl.errors import NodeError, PdctlError, PlanRefused, StaleBase
from pdctl.model.deployment import Deployment
from pdctl.model.events import plain
from pdctl.model.hold import Holds
from pdctl.model.observed import Observed
from pdctl.plan.drift import Drift
from pdctl.plan.floors import PoolDip
from pdctl.plan.inventory_diff import Edit, inventory_diff
from pdctl.plan.one_machine import refuse_one_machine
from pdctl.plan.steps import Plan


@dataclass(frozen=True, slots=True)
class Planning:
    """What `pdctl plan` shows: the plan, and what it was made from.

    `edits`: what differs from the inventory that was last applied; None where none was, or where it cannot be read.
    `drift`: what the plan does although nobody edited anything there, by subject. `refusals`: why `up` would be refused
    although the plan stands: somebody has applied another inventory since, or a pool would fall below its floor.
    """

    plan: Plan
    observed: Observed
    deployment: Deployment
    options: UpOptions
    edits: tuple[Edit, ...] | None = None
    drift: Mapping[str, Drift] = field(default_factory=dict)
    dips: tuple[PoolDip, ...] = ()
    refusals: tuple[PdctlError, ...] = ()
    stale: StaleBase | None = None

    @property
    def exit_code(self) -> int:
        """0 nothing to do, 2 changes, 4 some nodes are out of reach (for `--detailed-exitcode`)."""
        if self.plan.blocked:
            return 4
        return 0 if self.plan.converged else 2


async def plan(opened: Opened, options: UpOptions | None = None) -> Planning:
    """What `up` would do now. Read-only: takes no lease, changes nothing. Raises PlanRefused where `up` would."""
    options = options or UpOptions()
    deployment = opened.cluster.deployment
    refuse_unsupported(deployment)
    observed, (applied, holds) = await asyncio.gather(observe(opened.cluster), _recorded(opened.cluster))
    refuse_one_machine(deployment, observed)
    observed, gone = await see_departed(opened.cluster, replace(observed, holds=holds), applied)
    decided = decide(deployment, options, observed, applied)
    made = replace(decided.plan, warnings=(*decided.plan.warnings, *gone))
    stale = None if options.adopt else _stale(deployment, applied)
    short = () if options.force else decided.short
    refusals: tuple[PdctlError, ...] = () if stale is None else (stale,)
    if short:
        refusals = (*refusals, PlanRefused("; ".join(short), hint=decided.floor_hint))
    old = applied_deployment(deployment, applied)
    edits = None if old is None else inventory_diff(old, deployment)
    return Planning(made, observed, deployment, options, edits, decided.drift, decided.dips, refusals, stale)


def _stale(deployment: Deployment, applied: Applied | None) -> StaleBase | None:
    try:
        check_base(deployment, applied, BaseRecord.of(deployment).read(), adopt=False)
    except StaleBase as error:
        return error
    return None


async def _recorded(cluster: Cluster) -> tuple[Applied | None, Holds]:
    """What was last applied, and what is held. Where the lease node cannot be asked the first is None, which the plan
    says by itself, and the second tells why it is not known."""
    try:
        found = await record(cluster, 0)
    except NodeError as error:
        return None, Holds(trouble=f"the lease node cannot be asked: {error.message}")
    return found.applied, found.holds.at(cluster.clock.time())


def as_json(planning: Planning) -> Mapping[str, object]:
    """The plan as a JSON-able document."""
    return {
        "converged": planning.plan.converged,
        "stale": None if planning.stale is None else {"cause": planning.stale.message, "hint": planning.stale.hint},
        "refusals": [{"cause": item.message, "hint": item.hint} for item in planning.refusals],
        "edits": None if planning.edits is None else [{**plain(item), "text": str(item)} for item in planning.edits],
        "drift": [plain(item) for item in planning.drift.values()],
        "capacity": [plain(item) for item in planning.dips],
        "changes": [
            {
                "kind": change.kind.value,
                "subject": change.subject,
                "node": change.node,
                "reason": change.reason,
                "drift": change.subject in planning.drift,
                "differences": list(change.differences),
            }
            for change in planning.plan.changes
        ],
        "steps": [
            {
                "id": step.id,
                "action": step.action.value,
                "subject": step.subject,
                "node": step.node,
                "reason": step.reason,
                "needs": list(step.needs),
                "after": list(step.after),
            }
            for step in planning.plan.steps
        ],
        "held": [
            {"slot": item.slot, "kind": item.hold.kind.value, "by": item.hold.by, "text": item.text}
            for item in planning.plan.held
        ],
        "warnings": list(planning.plan.warnings),
        "blocked": [
            {"subject": item.subject, "node": item.node, "cause": item.trouble.cause, "hint": item.trouble.hint}
            for item in planning.plan.blocked
        ],
    }
