"""`drain` and `undrain`: take slots out of service under a hold that every command honours, and bring them back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from pdctl.control.base import BaseRecord
from pdctl.control.execute import Emit, End, Handler, Interrupt, Tally, execute
from pdctl.control.held_slots import whole_slots
from pdctl.control.journal import Session
from pdctl.control.lease import Applied, operator
from pdctl.control.opened import Opened
from pdctl.control.proposal import Proposal
from pdctl.control.proposing import proposal_of, read_record, seen_now
from pdctl.control.request import DrainRequest, UndrainRequest
from pdctl.control.run import Run
from pdctl.control.steps.context import RunContext
from pdctl.control.steps.drain import drain as drain_step
from pdctl.control.steps.hold import put_hold, take_hold
from pdctl.control.steps.restore import unfence
from pdctl.control.up import UpOptions, decide, node_gate, refuse_fences, refuse_unsupported
from pdctl.errors import Interrupted, UsageError
from pdctl.inventory.select import select
from pdctl.model.deployment import Budgets, Deployment
from pdctl.model.hold import Hold, HoldKind
from pdctl.model.observed import Observed, Trouble
from pdctl.plan.drain import Asked, plan_drain, take_back
from pdctl.plan.held import slots_of
from pdctl.plan.steps import Action, Plan
from pdctl.plan.undrain import brought_back, plan_undrain, released, without


async def propose_drain(opened: Opened, request: DrainRequest) -> Proposal:
    """What `drain` would do now. Read-only. Raises as it would."""
    asked = _asked(opened, request)
    seen, record = await asyncio.gather(seen_now(opened), read_record(opened))
    plan = refuse_fences(opened.deployment, plan_drain(opened.deployment, seen, asked))
    return proposal_of(opened.deployment, seen, plan, _drain_command(request, asked.hold.since_s), record.entries)


async def drain(opened: Opened, request: DrainRequest, session: Session) -> int:
    """Hold the slots, fence what serves there and see it drained. Returns the exit code.

    An interrupt takes back what is not drained by then. Raises PlanRefused for what a floor or a hold forbids.
    """
    deployment, asked = opened.deployment, _asked(opened, request)

    def make_plan(observed: Observed, applied: Applied | None, refused: Mapping[str, Trouble]) -> Plan:
        return refuse_fences(deployment, plan_drain(deployment, observed, asked))

    def own_steps(ctx: RunContext) -> Mapping[Action, Handler]:
        waiting = partial(drain_step, ctx, deadline_s=request.deadline_s, must=not request.stop)
        return {Action.HOLD: partial(put_hold, ctx, asked.hold_of), Action.DRAIN: waiting}

    run = Run(
        opened.cluster,
        "drain",
        make_plan,
        session,
        needs_secrets=False,
        own_steps=own_steps,
        afterwards=_Cancelled(deployment, session.interrupt).afterwards,
    )
    return await run.go()


async def propose_undrain(opened: Opened, request: UndrainRequest) -> Proposal:
    """What `undrain` would do now. Read-only. Raises as it would."""
    slots = whole_slots(select(opened.deployment, request.selectors))
    seen, record = await asyncio.gather(seen_now(opened), read_record(opened))
    plan = _plan_undrain(opened.deployment, slots, seen, record.applied, {})
    return proposal_of(opened.deployment, seen, plan, ("pdctl", "undrain", *request.selectors), record.entries)


async def undrain(opened: Opened, request: UndrainRequest, session: Session) -> int:
    """Take the holds on the slots away, and bring back what they held. Returns the exit code.

    What runs there is proven and registered; what does not is started, as by `up`. Where the cluster is down only the
    holds go.
    """
    deployment = opened.deployment
    refuse_unsupported(deployment)
    slots = whole_slots(select(deployment, request.selectors))

    def make_plan(observed: Observed, applied: Applied | None, refused: Mapping[str, Trouble]) -> Plan:
        return _plan_undrain(deployment, slots, observed, applied, refused)

    run = Run(
        opened.cluster,
        "undrain",
        make_plan,
        session,
        base=BaseRecord.of(deployment),
        gate=node_gate(opened),
        own_steps=lambda ctx: {Action.RELEASE: partial(take_hold, ctx)},
        afterwards=_gone_on(session.interrupt),
    )
    return await run.go()


@dataclass(frozen=True, slots=True)
class _Cancelled:
    """What follows a drain that was interrupted: what is not drained is put back as it was."""

    deployment: Deployment
    interrupt: Interrupt
    slots: Mapping[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        slots = {instance.name: slots_of(instance) for instance in self.deployment.instances}
        object.__setattr__(self, "slots", slots)

    async def afterwards(self, ctx: RunContext, plan: Plan, tally: Tally, emit: Emit) -> str:
        if not self.interrupt.asked.is_set():
            return "nothing to do: it is out of service and drained" if plan.converged and not tally.exit_codes else ""
        if self.interrupt.exit_code != Interrupted.exit_code:
            return ""  # no journal, for one: nothing more is changed
        done = [name for name, end in tally.ends.items() if end is End.DONE]
        back = take_back(plan, done, self.slots, self.deployment.lease_node)
        if not back.steps:
            return ""
        handlers: Mapping[Action, Handler] = {
            Action.RELEASE: partial(take_hold, ctx, before=ctx.observed.holds.standing),
            Action.UNFENCE: partial(unfence, ctx),
        }
        undoing = Interrupt()
        undoing.insisted = self.interrupt.insisted
        undone = await execute(back, handlers, emit, ctx.clock, undoing)
        who = ", ".join(sorted({step.subject for step in back.steps if step.action is Action.RELEASE})) or "all"
        if undone.count(End.DONE) < len(back.steps):
            return f"{self.interrupt.reason}; not all of it could be taken back: `pdctl undrain` does that for {who}"
        return f"{self.interrupt.reason}; taken back: {who} as before"


def _gone_on(interrupt: Interrupt) -> Callable[[RunContext, Plan, Tally, Emit], Awaitable[str]]:
    async def afterwards(ctx: RunContext, plan: Plan, tally: Tally, emit: Emit) -> str:
        return f"{interrupt.reason}; what is released stays so: `pdctl up` goes on" if interrupt.asked.is_set() else ""

    return afterwards


def _plan_undrain(
    deployment: Deployment,
    slots: tuple[str, ...],
    observed: Observed,
    applied: Applied | None,
    refused: Mapping[str, Trouble],
) -> Plan:
    held = released(observed, slots)
    names = brought_back(deployment, observed, held)
    back = None
    if names:
        back = decide(deployment, UpOptions(only=names), without(observed, held), applied, refused).plan
    return plan_undrain(deployment, observed, held, back)


def _asked(opened: Opened, request: DrainRequest) -> Asked:
    """Raises UsageError for a deadline that nothing can keep, or half a slot."""
    deployment = opened.deployment
    _nests(deployment.budgets, request)
    chosen = select(deployment, request.selectors)
    now_s = opened.cluster.clock.time()
    hold = Hold("", HoldKind.DRAINED, operator(), request.reason, now_s, request.until_s)
    return Asked(whole_slots(chosen), chosen.instances, hold, stop=request.stop, overrides=request.force)


def _nests(budgets: Budgets, request: DrainRequest) -> None:
    if request.deadline_s is None:
        return
    inner, name = (budgets.stop_s, "budgets.stop") if request.stop else (budgets.settle_s, "budgets.settle")
    if request.deadline_s <= inner:
        raise UsageError(
            f"a deadline of {request.deadline_s:g} s ends before {name} ({inner:g} s) can",
            hint="budgets nest: settle < shutdown < stop < drain",
        )


def _drain_command(request: DrainRequest, now_s: float) -> tuple[str, ...]:
    flags = [("--stop", request.stop), ("--force", request.force)]
    named = [
        ("--reason", request.reason),
        ("--for", f"{request.until_s - now_s:.0f}s" if request.until_s is not None else ""),
        ("--deadline", f"{request.deadline_s:g}s" if request.deadline_s is not None else ""),
    ]
    return (
        "pdctl",
        "drain",
        *request.selectors,
        *(flag for flag, given in flags if given),
        *(word for name, value in named if value for word in (name, value)),
    )
