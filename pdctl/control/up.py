"""`up`, `restart` and `plan`: make the cluster what the inventory says, or only say what that would take."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pdctl.control.admission import gates
from pdctl.control.base import BaseRecord, check_base
from pdctl.control.cluster import Cluster
from pdctl.control.history import record
from pdctl.control.journal import Session
from pdctl.control.lease import Applied
from pdctl.control.observe import observe
from pdctl.control.opened import Opened
from pdctl.control.run import Run
from pdctl.engines.shapes import refusals
from pdctl.engines.spec_hash import diff_fields, spec_fields, spec_hash
from pdctl.errors import InventoryError, NodeError, PlanRefused, StaleBase
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.model.deployment import Deployment
from pdctl.model.hold import Holds
from pdctl.model.observed import Observed, Trouble
from pdctl.plan.floors import below_floor, pool_dips
from pdctl.plan.steps import REGISTRAR, ROUTER, Action, Plan
from pdctl.plan.up import Wanted, plan_up
from pdctl.routers.facts import Removal, router_facts
from pdctl.routers.units import registrar_unit, router_unit

if TYPE_CHECKING:
    from pdctl.control.gate import Gate

FLOOR_HINT = "give the pool another slot first, lower its min_instances, or accept the gap with `--force`"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """`only`: instances a selector named (None: all). `restart`: relaunch those although they run as wanted.

    `at_once`: how many instances of a pool may be out of service together; `force` lets a pool fall below its floor.
    """

    only: frozenset[str] | None = None
    restart: frozenset[str] = frozenset()
    at_once: int = 1
    force: bool = False
    adopt: bool = False
    skip_checks: bool = False


def wanted(deployment: Deployment, applied: Applied | None = None) -> Wanted:
    """Spec hashes of everything that the deployment wants to run, and what differs from what was last applied."""
    hashes: dict[str, str] = {}
    for instance in deployment.instances:
        digest = spec_hash(deployment, instance)
        hashes.update({part.name: digest for part in instance.parts})
    hashes[ROUTER] = router_unit(deployment, generation=0).labels.spec_hash
    hashes[REGISTRAR] = registrar_unit(deployment, generation=0).labels.spec_hash
    return Wanted(hashes, _differences(deployment, applied))


def _differences(deployment: Deployment, applied: Applied | None) -> Mapping[str, tuple[str, ...]]:
    """Changed inventory fields by instance, in words; none where the last applied inventory cannot be read any more."""
    if applied is None or applied.digest == deployment.digest:
        return {}
    try:
        old = place(parse(applied.text.encode(), Path(deployment.source)))
    except InventoryError:
        return {}
    before = {instance.name: spec_fields(old, instance) for instance in old.instances}
    return {
        instance.name: tuple(
            str(item) for item in diff_fields(before[instance.name], spec_fields(deployment, instance))
        )
        for instance in deployment.instances
        if instance.name in before
    }


def refuse_unsupported(deployment: Deployment, only: frozenset[str] | None = None) -> None:
    """Raises PlanRefused for shapes that render but cannot be brought up yet, with the reasons."""
    found = refusals(deployment)
    if found:
        raise PlanRefused("; ".join(f"{item.what}: {item.reason}" for item in found), hint=found[0].hint)


def cannot_fence(deployment: Deployment) -> PlanRefused:
    """The refusal of whatever would stop a serving engine behind a router that never forgets a member."""
    return PlanRefused(
        f"the {deployment.router.kind.value} never forgets a member: it would go on choosing an engine that is gone",
        hint="take the whole cluster down and up again, or use vllm-router",
    )


def refuse_fences(deployment: Deployment, plan: Plan) -> Plan:
    """`plan`, or PlanRefused if it fences and the router cannot."""
    fences = any(step.action is Action.FENCE for step in plan.steps)
    if fences and router_facts(deployment).removal is Removal.NEVER:
        raise cannot_fence(deployment)
    return plan


def refuse_below_floor(deployment: Deployment, observed: Observed, plan: Plan, *, force: bool) -> Plan:
    """`plan`, or PlanRefused if it would take a pool below its floor, be it for a while, and nobody insists."""
    short = () if force else below_floor(pool_dips(deployment, observed, plan))
    if short:
        raise PlanRefused("; ".join(short), hint=FLOOR_HINT)
    return plan


async def up(opened: Opened, options: UpOptions, session: Session) -> int:
    """Bring the cluster up (or relaunch `options.restart`). Returns the exit code. Raises PdctlError's kinds."""
    deployment = opened.cluster.deployment
    refuse_unsupported(deployment)

    def make_plan(observed: Observed, applied: Applied | None, refused: Mapping[str, Trouble]) -> Plan:
        made = plan_up(
            deployment,
            wanted(deployment, applied),
            observed,
            only=options.only,
            restart=options.restart,
            refused=refused,
            at_once=options.at_once,
        )
        return refuse_below_floor(deployment, observed, refuse_fences(deployment, made), force=options.force)

    run = Run(
        opened.cluster,
        "restart" if options.restart else "up",
        make_plan,
        session,
        records=options.only is None and not options.restart,
        adopt=options.adopt,
        base=BaseRecord.of(deployment),
        inventory_text=opened.inventory_text,
        gate=_gate(opened) if gates(deployment, skip=options.skip_checks) else None,
    )
    return await run.go()


def _gate(opened: Opened) -> Gate:
    from pdctl.control.gate import Gate  # loads every check there is: only where nodes are checked

    return Gate(opened.cluster, opened.health)


@dataclass(frozen=True, slots=True)
class Planning:
    """What `pdctl plan` shows: the plan, and what it was made from. `stale` is why `up` would be refused although the
    plan stands: somebody has applied another inventory since."""

    plan: Plan
    observed: Observed
    deployment: Deployment
    stale: StaleBase | None = None

    @property
    def exit_code(self) -> int:
        """0 nothing to do, 2 changes, 4 some nodes are out of reach (for `--detailed-exitcode`)."""
        if self.plan.blocked:
            return 4
        return 0 if self.plan.converged else 2


async def plan(opened: Opened, only: frozenset[str] | None = None) -> Planning:
    """What `up` would do now. Read-only: takes no lease, changes nothing. Raises PlanRefused where `up` would."""
    deployment = opened.cluster.deployment
    refuse_unsupported(deployment)
    observed, (applied, holds) = await asyncio.gather(observe(opened.cluster), _recorded(opened.cluster))
    observed = replace(observed, holds=holds)
    made = plan_up(deployment, wanted(deployment, applied), observed, only=only)
    return Planning(refuse_fences(deployment, made), observed, deployment, _stale(deployment, applied))


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
        "changes": [
            {
                "kind": change.kind.value,
                "subject": change.subject,
                "node": change.node,
                "reason": change.reason,
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
