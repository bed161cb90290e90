"""The frame of every use case that changes a cluster: lease, observe, plan, execute, record, and one exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from pdctl.control import secrets
from pdctl.control.admission import Admission
from pdctl.control.applied_book import AppliedBook
from pdctl.control.base import BaseRecord, check_base
from pdctl.control.cluster import Cluster
from pdctl.control.departed import see_departed
from pdctl.control.execute import Emit, End, Handler, Interrupt, Tally, execute
from pdctl.control.hold_record import HoldBook, must_be_known
from pdctl.control.journal import JournaledEvents, Session
from pdctl.control.lease import Applied, Lease, operator, state_root
from pdctl.control.member_book import MemberBook
from pdctl.control.observe import observe
from pdctl.control.ports import Member
from pdctl.control.read_only import refuse_read_only
from pdctl.control.steps.context import Generations, RunContext, launch_of_running
from pdctl.control.steps.drain import drain
from pdctl.control.steps.membership import fence, fence_now, register
from pdctl.control.steps.prove import prove
from pdctl.control.steps.quiet import quiet_router
from pdctl.control.steps.ready import await_ready
from pdctl.control.steps.restore import unfence
from pdctl.control.steps.routing import prove_whole, start_registrar, start_router
from pdctl.control.steps.start import start
from pdctl.control.steps.stop import Stopper
from pdctl.control.steps.tune import stop_numa_balancing
from pdctl.control.wanted import known, wanted
from pdctl.errors import EpochRefused, Unreachable
from pdctl.model.deployment import Deployment
from pdctl.model.events import (
    Event,
    LeaseTaken,
    NodeUnreachable,
    Planned,
    RunEnded,
    RunStarted,
    SlotHeld,
    StepFailed,
    StepProgress,
    StepSkipped,
    Warned,
)
from pdctl.model.observed import Observed, Trouble
from pdctl.model.unit import UnitState
from pdctl.plan.held import hold_on
from pdctl.plan.one_machine import refuse_one_machine
from pdctl.plan.router_move import refuse_two_routers
from pdctl.plan.steps import ELSEWHERE, Action, Plan, Step

if TYPE_CHECKING:
    from pdctl.control.gate import Gate

STARTS = frozenset({Action.START, Action.START_ROUTER, Action.START_REGISTRAR})

MakePlan = Callable[[Observed, Applied | None, Mapping[str, Trouble]], Plan]
"""The plan for what was seen; the last are instances that must not be launched, with why."""

OwnSteps = Callable[[RunContext], Mapping[Action, Handler]]
"""What one command's steps do that no other has, or does otherwise."""

Foreword = Callable[[Plan], Iterable[Event]]
"""What a command says, and what is in the journal, before the first step of its plan."""

Afterwards = Callable[[RunContext, Plan, Tally, Emit], Awaitable[str]]
"""What a command does once its plan has ended, however it did, unless the lease was lost or the operator insisted: take
back what was cut short. Says in words what became of it, "" where it had nothing to do. It emits what it does."""


@dataclass(slots=True)
class Run:
    """One mutating run. `make_plan` decides from what was seen; with a `gate`, nodes are checked before it starts
    anything there.

    With a `base` it is refused where somebody applied another inventory since; `records` makes ours the last applied
    one at its end, whatever failed, unless the operator stopped it. Without `honours_holds` it goes on even where
    nobody can say what is held. `own_steps` and `afterwards`: what only this command does.
    `hashes`: spec hashes of what it may launch, by unit; None: those of the inventory. `before`: what the inventory
    says while this run changes it to the cluster's deployment.
    """

    cluster: Cluster
    command: str
    make_plan: MakePlan
    session: Session
    records: bool = False
    adopt: bool = False
    now: bool = False
    base: BaseRecord | None = None
    before: Deployment | None = None
    inventory_text: str = ""
    hashes: Mapping[str, str] | None = None
    needs_secrets: bool = True
    honours_holds: bool = True
    gate: Gate | None = None
    foreword: Foreword | None = None
    own_steps: OwnSteps | None = None
    afterwards: Afterwards | None = None

    async def go(self) -> int:
        """Do it. Returns the exit code; raises PdctlError only for what prevents the run as a whole."""
        deployment, clock = self.cluster.deployment, self.cluster.clock
        refuse_read_only(deployment, self.command)
        values = secrets.resolve(deployment) if self.needs_secrets else {}
        began = clock.monotonic()
        emit = JournaledEvents(self.session, clock, deployment.cluster)
        interrupt = self.session.interrupt
        async with self.cluster.take_lease(
            self.cluster.lease_shell, state_root(deployment), deployment.cluster, self.command
        ) as lease:
            if self.base is not None:
                check_base(self.before or deployment, lease.applied, self.base.read(), adopt=self.adopt)
            emit.attach(lease)
            await emit(LeaseTaken(deployment.lease_node, lease.epoch))
            observed, gone = await self._look(lease)
            if self.command != "down":
                refuse_one_machine(deployment, observed)
            plan = self.make_plan(observed, lease.applied, {})
            if self.command != "down":
                refuse_two_routers(observed, plan)
            admission = Admission() if self.gate is None else await self.gate.admit(plan, observed, emit)
            if admission.lost:
                plan = self.make_plan(observed, lease.applied, admission.lost)
            await self._announce(emit, observed, replace(plan, warnings=(*plan.warnings, *gone)))
            emit.must_work()
            tally, after = Tally(), ""
            if plan.steps:
                ctx = await self._context(observed, lease, values, emit)
                ctx.fabric = admission.fabric
                tally, after = await self._work(ctx, plan, lease, emit)
            code = exit_code(plan, tally, interrupt)
            if self.records and not interrupt.asked.is_set() and _departed_are_gone(deployment, plan, tally):
                await self._record(lease, whole=code == 0 and not plan.held)
            text = after or _ending(self.command, plan, tally, interrupt)
            took_s = clock.monotonic() - began
            counts = (tally.count(End.DONE), tally.count(End.FAILED), tally.count(End.SKIPPED))
            await emit(RunEnded(self.command, code, *counts, took_s, text))
        return code

    async def _look(self, lease: Lease) -> tuple[Observed, tuple[str, ...]]:
        """What is there, by a look that makes our epoch known; and in words what cannot be seen of nodes that departed.

        Raises PlanRefused where holds have to be honoured and are not known.
        """
        holds = lease.holds.at(self.cluster.clock.time())
        if self.honours_holds:
            must_be_known(holds)
        observed = replace(await observe(self.cluster, claim=lease.epoch), holds=holds)
        return await see_departed(self.cluster, observed, lease.applied, claim=lease.epoch)

    async def _work(self, ctx: RunContext, plan: Plan, lease: Lease, emit: JournaledEvents) -> tuple[Tally, str]:
        """The steps, and what the command does after them, with what that says."""
        await self._prepare(ctx, plan)
        await self._begin_record(ctx, lease, plan)
        watched = self._watched(emit, ctx)
        tally = await execute(plan, self._handlers(ctx), watched, ctx.clock, self.session.interrupt)
        if self.afterwards is None or lease.lost().done():
            return tally, ""
        return tally, await self.afterwards(ctx, plan, tally, watched)

    async def _announce(self, emit: JournaledEvents, observed: Observed, plan: Plan) -> None:
        await emit(RunStarted(self.command, self.cluster.deployment.source, len(plan.steps)))
        for node, trouble in observed.unreachable.items():
            await emit(NodeUnreachable(node, trouble.cause, trouble.hint))
        for text in plan.warnings:
            await emit(Warned(text))
        for held in plan.held:
            await emit(SlotHeld(held.slot, held.hold.kind.value, held.hold.by, held.hold.reason, held.text))
        for event in self.foreword(plan) if self.foreword is not None else ():
            await emit(event)
        # All at once: the journal takes them in this order, in few round trips.
        planned = (Planned(step.id, step.action.value, step.subject, step.node, step.reason) for step in plan.steps)
        await asyncio.gather(*(emit(event) for event in planned))

    async def _context(
        self, observed: Observed, lease: Lease, values: Mapping[str, str], emit: JournaledEvents
    ) -> RunContext:
        clock = self.cluster.clock
        began = clock.monotonic()

        def progress(step: Step, text: str) -> None:
            emit.show(StepProgress(step.id, step.action.value, step.subject, text, round(clock.monotonic() - began, 1)))

        book = await self._book(observed, lease.epoch)
        generations = Generations(self.cluster, observed.nodes, lease.epoch)
        ctx = RunContext(self.cluster, observed, lease.epoch, values, book, generations, progress)
        ctx.holds = HoldBook(observed.holds.all, lease.record_holds)
        ctx.applied = AppliedBook(lease.applied, lease.record)
        ctx.interrupted = self.session.interrupt.asked.is_set
        return ctx

    async def _book(self, observed: Observed, epoch: int) -> MemberBook:
        cluster, node = self.cluster, self.cluster.deployment.router.node
        trouble = observed.unreachable.get(node)
        if trouble is not None:
            unreadable = Unreachable(node, trouble.cause, hint=trouble.hint)
            return MemberBook(cluster.membership, {}, epoch, cluster.clock, unreadable=unreadable)
        listed = await cluster.membership.members()
        members = {name: member for name, member in listed.items() if _may_live(observed, member)}
        return MemberBook(cluster.membership, members, epoch, cluster.clock, stale=listed.keys() - members.keys())

    async def _prepare(self, ctx: RunContext, plan: Plan) -> None:
        """Let the router begin to forget what died, and tell the board what runs and what will not come."""
        if any(step.action is Action.PROVE_WHOLE for step in plan.steps):
            await ctx.members.drop_stale()
        coming = {step.subject for step in plan.steps if step.action is Action.AWAIT_READY}
        for instance in ctx.deployment.instances:
            launch = launch_of_running(ctx.deployment, instance, ctx.observed)
            if launch is not None:
                ctx.launches[instance.name] = launch
            if instance.name in coming:
                continue
            if launch is not None and hold_on(instance, ctx.observed.holds.standing) is None:
                await ctx.board.ready(launch)
            else:
                await ctx.board.hopeless(instance.name)

    def _watched(self, emit: JournaledEvents, ctx: RunContext) -> Emit:
        coming = {Action.START.value, Action.AWAIT_READY.value}

        async def watched(event: Event) -> None:
            if isinstance(event, StepFailed | StepSkipped) and event.action in coming:
                before = ctx.launches.get(event.subject)
                if before is not None and event.subject not in ctx.stopped:
                    await ctx.board.ready(before)  # it was to be replaced, and runs on instead
                else:
                    await ctx.board.hopeless(event.subject)
            await emit(event)

        return watched

    def _handlers(self, ctx: RunContext) -> Mapping[Action, Handler]:
        stopper = Stopper(ctx, now=self.now, for_good=self.command == "down")
        with_context = {
            Action.START_REGISTRAR: start_registrar,
            Action.START_ROUTER: start_router,
            Action.START: start,
            Action.AWAIT_READY: await_ready,
            Action.PROVE: prove if self.gate is None else self.gate.prover(),
            Action.REGISTER: register,
            Action.PROVE_WHOLE: prove_whole,
            Action.FENCE: fence_now if self.now else fence,
            Action.UNFENCE: unfence,
            Action.DRAIN: drain,
            Action.QUIET_ROUTER: quiet_router,
            Action.STOP_NUMA_BALANCING: stop_numa_balancing,
        }
        handlers: dict[Action, Handler] = {action: partial(handler, ctx) for action, handler in with_context.items()}
        handlers[Action.STOP] = stopper.engine
        handlers[Action.STOP_ROUTER] = stopper.routing
        handlers[Action.STOP_REGISTRAR] = stopper.routing
        return {**handlers, **(self.own_steps(ctx) if self.own_steps is not None else {})}

    def _wanted(self) -> Mapping[str, str]:
        return wanted(self.cluster.deployment).hashes if self.hashes is None else self.hashes

    def _launched(self, old: Applied | None) -> dict[str, tuple[str, ...]]:
        """What may run by pdctl's doing once this run began: what may run before it, and what it launches."""
        before = known(self.cluster.deployment, old)
        found = {} if before is None else before.all()
        mine = self._wanted()
        both = {name: {*found.get(name, ()), mine.get(name, "")} - {""} for name in {*found, *mine}}
        return {name: tuple(sorted(specs)) for name, specs in sorted(both.items())}

    async def _begin_record(self, ctx: RunContext, lease: Lease, plan: Plan) -> None:
        """What this run launches is nobody's doing by hand, even if it is cut off."""
        old = lease.applied
        starts = any(step.action in STARTS for step in plan.steps)
        if starts and old is not None and not old.trouble and old.launched != (launched := self._launched(old)):
            await ctx.applied.put(replace(old, launched=launched))

    async def _record(self, lease: Lease, *, whole: bool) -> None:
        """`whole`: everything runs as the inventory says, and nothing from before is left."""
        digest = self.cluster.deployment.digest
        old = lease.applied
        launched = {name: (spec,) for name, spec in self._wanted().items()} if whole else self._launched(old)
        if old is None or old.digest != digest or old.launched != launched:
            await lease.record(
                Applied(digest, operator(), self.cluster.clock.time(), self.inventory_text, launched=launched)
            )
        if self.base is not None:
            self.base.write(digest)


def _departed_are_gone(deployment: Deployment, plan: Plan, tally: Tally) -> bool:
    """Whether all that was to end on nodes that the inventory does not have any more did: else the inventory that had
    them stays on record, since nothing else tells where they are."""
    left = [step for step in plan.steps if step.node not in deployment.nodes or ELSEWHERE in step.subject]
    return all(tally.ends.get(step.id) is End.DONE for step in left)


def _may_live(observed: Observed, member: Member) -> bool:
    """Whether a listed member may still be what was registered: it runs in that generation, or nobody can say."""
    unit = observed.unit(member.name)
    if unit is None:
        return bool(observed.unreachable)
    if unit.state is UnitState.UNKNOWN:  # without a record, not even its generation is known
        return True
    return unit.state is UnitState.RUNNING and unit.labels.generation == member.generation


def exit_code(plan: Plan, tally: Tally, interrupt: Interrupt) -> int:
    """0 done or no change, 1 failed, 3 partly done, 4 all that is missing is out of reach, 75 overtaken, 130."""
    if interrupt.asked.is_set():
        return interrupt.exit_code
    failures = [*tally.exit_codes, *(blocked.trouble.exit_code for blocked in plan.blocked)]
    if not failures:
        return 0
    if EpochRefused.exit_code in failures:
        return EpochRefused.exit_code
    if set(failures) == {4}:
        return 4
    return 3 if tally.count(End.DONE) else 1


def _ending(command: str, plan: Plan, tally: Tally, interrupt: Interrupt) -> str:
    if interrupt.asked.is_set():
        # What is half moved stands in the inventory.
        again = "`pdctl up`" if command == "move" else f"`pdctl {command}` again"
        return f"{interrupt.reason}; nothing is lost: run {again} to go on"
    if plan.converged:
        return "nothing to do"
    failed = tally.count(End.FAILED)
    out_of_reach = sum(1 for item in plan.blocked if item.trouble.exit_code == Unreachable.exit_code)
    left_out = len(plan.blocked) - out_of_reach
    parts = [f"{tally.count(End.DONE)} of {len(plan.steps)} steps done"]
    if failed:
        parts.append(f"{failed} failed")
    if out_of_reach:
        parts.append(f"{out_of_reach} out of reach")
    if left_out:
        parts.append(f"{left_out} left out")
    return ", ".join(parts)
