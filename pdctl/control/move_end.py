"""How a move ends: what was cut short in time is put back, and every slot's move is told with its times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from pdctl.control.execute import Emit, End, Handler, Interrupt, Tally, execute
from pdctl.control.steps.commit import Commits
from pdctl.control.steps.context import RunContext
from pdctl.control.steps.restore import unfence
from pdctl.model.events import Event, Moved, StepDone, Warned
from pdctl.plan.shift import Shift
from pdctl.plan.steps import Action, Plan, Step, step_id

PHASES = {
    Action.FENCE: "fence",
    Action.DRAIN: "drain",
    Action.COMMIT: "commit",
    Action.STOP: "stop",
    Action.START: "start",
    Action.AWAIT_READY: "ready",
    Action.PROVE: "canary",
    Action.REGISTER: "register",
}


@dataclass(slots=True)
class MoveEnd:
    """What one move has done by now. `took` are its finished steps, by id."""

    shifts: tuple[Shift, ...]
    commits: Commits
    interrupt: Interrupt
    took: dict[str, StepDone] = field(default_factory=dict)

    def see(self, event: Event) -> None:
        """Take note of a finished step."""
        if isinstance(event, StepDone):
            self.took[event.step] = event

    async def afterwards(self, ctx: RunContext, plan: Plan, tally: Tally, emit: Emit) -> str:
        """Put back what did not get to its stop, and tell what became of each slot."""
        if not plan.steps:
            return ""
        begun = {shift.name for shift in self.shifts if self._begun(ctx, tally, shift)}
        back = self._back(ctx, begun)
        undone = await self._undo(ctx, back, emit) if back.steps else Tally()
        outcomes = {shift.name: self._outcome(shift, begun, tally, undone, back) for shift in self.shifts}
        for shift in self.shifts:
            await emit(self._moved(ctx, shift, outcomes[shift.name]))
            await self._warn(shift, emit)
        return self._text(outcomes)

    def _begun(self, ctx: RunContext, tally: Tally, shift: Shift) -> bool:
        """Whether something of the slot was stopped or started: there is no way back by itself any more."""
        stopped = any(instance.name in ctx.stopped for instance in shift.leaving)
        starts = (tally.ends.get(step_id(Action.START, instance.name)) for instance in shift.coming)
        alone = not shift.leaving and not shift.coming
        return stopped or any(end in (End.DONE, End.FAILED) for end in starts) or alone

    def _back(self, ctx: RunContext, begun: Iterable[str]) -> Plan:
        """The inventory first, so that no `up` that comes next stops what was put back."""
        asked = self.interrupt.asked.is_set()
        reason = "the move was cancelled" if asked else "the move went no further"
        steps: list[Step] = []
        for shift in self.shifts:
            if shift.name in begun or (shift in self.commits.done and not asked and not _fenced(ctx, shift)):
                continue
            needs: tuple[str, ...] = ()
            if shift in self.commits.done:
                steps.append(Step(Action.TAKE_BACK, shift.name, shift.node, reason))
                needs = (steps[-1].id,)
            steps += [
                Step(Action.UNFENCE, instance.name, instance.leader.node, reason, needs=needs)
                for instance in shift.leaving
                if instance.name in ctx.fenced
            ]
        return Plan("move", (), tuple(steps))

    async def _undo(self, ctx: RunContext, back: Plan, emit: Emit) -> Tally:
        handlers: Mapping[Action, Handler] = {
            Action.TAKE_BACK: partial(self.commits.take_back, ctx),
            Action.UNFENCE: partial(unfence, ctx),
        }
        undoing = Interrupt()
        undoing.insisted = self.interrupt.insisted
        return await execute(back, handlers, emit, ctx.clock, undoing)

    def _outcome(self, shift: Shift, begun: set[str], tally: Tally, undone: Tally, back: Plan) -> str:
        own = {shift.name, *(instance.name for instance in shift.leaving)}
        steps = [step.id for step in back.steps if step.subject in own]
        if steps:
            return "put back" if all(undone.ends.get(name) is End.DONE for name in steps) else "not put back"
        if shift not in self.commits.done:
            return "untouched"
        registers = [step_id(Action.REGISTER, instance.name) for instance in shift.coming]
        stops = [step_id(Action.STOP, instance.name) for instance in shift.leaving]
        planned = [name for name in (*registers, *stops) if name in tally.ends]
        return "moved" if all(tally.ends[name] is End.DONE for name in planned) else "unfinished"

    def _moved(self, ctx: RunContext, shift: Shift, outcome: str) -> Moved:
        own = [self.took[name] for name in self._steps_of(shift) if name in self.took]
        drains = [done.detail for done in own if done.action == Action.DRAIN.value]
        counts = [detail["in_flight_at_fence"] for detail in drains if "in_flight_at_fence" in detail]
        phases: dict[str, float] = {}
        for done in own:
            phase = PHASES[Action(done.action)]
            phases[phase] = round(max(phases.get(phase, 0.0), done.took_s), 3)
        units = ((each.name, ctx.observed.unit(each.name)) for each in shift.leaving)
        starts = (self.took.get(step_id(Action.START, each.name)) for each in shift.coming)
        return Moved(
            slot=shift.name,
            from_pool=shift.origin or "",
            to_pool=shift.to or "",
            outcome=outcome,
            in_flight_at_fence=sum(counts) if counts else None,
            drained_s=max((detail["drained_s"] for detail in drains if "drained_s" in detail), default=None),
            cut=sum(int(detail.get("cut", 0)) for detail in drains),
            phases=phases,
            took_s=round(sum(phases.values()), 3),
            generations_before={name: unit.labels.generation for name, unit in units if unit is not None},
            generations_after={done.subject: int(done.detail["generation"]) for done in starts if done is not None},
        )

    def _steps_of(self, shift: Shift) -> list[str]:
        names = dict.fromkeys([shift.name, *(each.name for each in (*shift.leaving, *shift.coming))])
        return [step_id(action, name) for action in PHASES for name in names]

    async def _warn(self, shift: Shift, emit: Emit) -> None:
        """Pairs that do not work, though one does: the slot serves, and some requests may fail."""
        for instance in shift.coming:
            proven = self.took.get(step_id(Action.PROVE, instance.name))
            for partner, why in (proven.detail.get("broken") or {}).items() if proven is not None else ():
                await emit(Warned(f"{instance.name} does not work with {partner}: {why}", "`pdctl canary` proves all"))

    def _text(self, outcomes: Mapping[str, str]) -> str:
        if all(outcome == "moved" for outcome in outcomes.values()):
            return ""
        parts = [f"{self.interrupt.reason}"] if self.interrupt.asked.is_set() else []
        for outcome in dict.fromkeys(outcomes.values()):
            names = ", ".join(name for name, found in outcomes.items() if found == outcome)
            parts.append(f"{names} {_SAID[outcome]}")
        return "; ".join(parts)


_SAID = {
    "moved": "moved",
    "put back": "put back: as before, inventory and all",
    "not put back": "could not be put back: it is out of service, and `pdctl up` does what the inventory says",
    "untouched": "not touched",
    "unfinished": "not finished, the inventory says the new pool: `pdctl up` finishes it, `pdctl move` takes it back",
}


def _fenced(ctx: RunContext, shift: Shift) -> bool:
    return any(instance.name in ctx.fenced for instance in shift.leaving)
