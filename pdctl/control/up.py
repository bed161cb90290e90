"""`up` and `restart`: make the cluster what the inventory says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pdctl.control.admission import gates
from pdctl.control.base import BaseRecord
from pdctl.control.journal import Session
from pdctl.control.lease import Applied
from pdctl.control.opened import Opened
from pdctl.control.run import Run
from pdctl.control.wanted import known, wanted
from pdctl.engines.shapes import refusals
from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment
from pdctl.model.observed import Observed, Trouble
from pdctl.plan.drift import Drift, anything_lives, find_drift
from pdctl.plan.flip import refuse_half_a_flip
from pdctl.plan.floors import PoolDip, below_floor, pool_dips
from pdctl.plan.router_move import refuse_two_routers
from pdctl.plan.steps import Action, Plan
from pdctl.plan.up import plan_up
from pdctl.routers.facts import Removal, router_facts

if TYPE_CHECKING:
    from pdctl.control.gate import Gate
    from pdctl.control.saved_plan import SavedPlan

FLOOR_HINT = "give the pool another slot first, lower its min_instances, or accept the gap with `--force`"
FLIP_HINT = (
    "a new transfer mode needs a new router process: requests in flight end, new ones are refused for about as long as "
    "the longest of them takes; accept that with `--force`"
)
ADOPT_HINT = "somebody started it by hand; `pdctl up --adopt` takes it over: what the inventory says takes its place"


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


@dataclass(frozen=True, slots=True)
class Decision:
    """What `up` does about what was seen. `drift`: what it does although the inventory did not change there, by
    subject; `short`: in words, the pools that would fall below their floor, for which it needs `--force`."""

    plan: Plan
    drift: Mapping[str, Drift]
    dips: tuple[PoolDip, ...]
    flips: bool = False

    @property
    def floor_hint(self) -> str:
        """What to do about pools that would fall short."""
        return FLIP_HINT if self.flips else FLOOR_HINT

    @property
    def short(self) -> tuple[str, ...]:
        return below_floor(self.dips)


def decide(
    deployment: Deployment,
    options: UpOptions,
    observed: Observed,
    applied: Applied | None,
    refused: Mapping[str, Trouble] | None = None,
) -> Decision:
    """The plan of `up`, from what was seen. What lives and was started by hand is left as it is, unless it is to be
    adopted. Raises PlanRefused where the router cannot do without what would be stopped."""
    want, was = wanted(deployment, applied), known(deployment, applied)

    def made(left: Mapping[str, Trouble]) -> Plan:
        return plan_up(
            deployment,
            want,
            observed,
            only=options.only,
            restart=options.restart,
            refused=refused,
            left=left,
            at_once=options.at_once,
        )

    plan, drift = made({}), {}
    if was is not None and anything_lives(observed):
        seen = (find_drift(change, deployment, observed, want.hashes, was) for change in plan.changes)
        drift = {each.subject: each for each in seen if each is not None}
    if want.flips:
        refuse_half_a_flip(observed, plan, whole=options.only is None)
    refuse_two_routers(observed, plan)
    left = {each.subject: Trouble(f"{each.text}; left as it is", ADOPT_HINT) for each in drift.values() if each.by_hand}
    if left and not options.adopt:
        plan = made(left)
    return Decision(refuse_fences(deployment, plan), drift, pool_dips(deployment, observed, plan), want.flips)


async def up(opened: Opened, options: UpOptions, session: Session, saved: SavedPlan | None = None) -> int:
    """Bring the cluster up (or relaunch `options.restart`), or do as a `saved` plan says.

    Returns the exit code. Raises PdctlError's kinds.
    """
    deployment = opened.cluster.deployment
    if saved is not None:
        saved.check_inventory(deployment)
        options = replace(saved.up_options, skip_checks=options.skip_checks)
    refuse_unsupported(deployment)

    def make_plan(observed: Observed, applied: Applied | None, refused: Mapping[str, Trouble]) -> Plan:
        if saved is not None:
            saved.check_world(observed)
        decided = decide(deployment, options, observed, applied, refused)
        if decided.short and not options.force:
            raise PlanRefused("; ".join(decided.short), hint=decided.floor_hint)
        if saved is not None and not refused:
            saved.check_steps(decided.plan)
        return decided.plan

    run = Run(
        opened.cluster,
        "restart" if options.restart else "up",
        make_plan,
        session,
        records=options.only is None and not options.restart,
        adopt=options.adopt,
        base=BaseRecord.of(deployment),
        inventory_text=opened.inventory_text,
        gate=node_gate(opened, skip=options.skip_checks),
    )
    return await run.go()


def node_gate(opened: Opened, *, skip: bool = False) -> Gate | None:
    """The check of nodes where something is about to start; None where the inventory or `skip` does without."""
    if not gates(opened.deployment, skip=skip):
        return None
    from pdctl.control.gate import Gate  # loads every check there is: only where nodes are checked

    return Gate(opened.cluster, opened.health)
