"""Relaunch what died, once, in a new generation and through the ordinary `up`; hold what dies again.

What was healed lately is read from the cluster's journal, so that a watcher that is restarted, or another one, knows it
too. Everything happens under the lease: while somebody else has it, they are at work, and nothing is healed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pdctl.control.base import BaseRecord
from pdctl.control.cluster import Cluster
from pdctl.control.execute import Emit, End, Handler, Tally
from pdctl.control.follow import linked
from pdctl.control.history import Record, record
from pdctl.control.journal import Session
from pdctl.control.lease import Applied, operator
from pdctl.control.observe import observe
from pdctl.control.opened import Opened
from pdctl.control.run import Run
from pdctl.control.steps.context import RunContext
from pdctl.control.steps.hold import put_hold
from pdctl.control.up import node_gate, refuse_fences
from pdctl.control.wanted import applied_deployment, wanted
from pdctl.errors import PdctlError
from pdctl.model.deployment import Deployment
from pdctl.model.events import Event
from pdctl.model.hold import Hold, HoldKind
from pdctl.model.keeper_events import Healed, HealFailed, Healing, HealWaits, Quarantined
from pdctl.model.observed import Observed, Trouble
from pdctl.model.snapshot import Snapshot, Vital
from pdctl.plan.heal import Death, Memory, Remedy, Treatment, deaths, treat
from pdctl.plan.steps import REGISTRAR, ROUTER, Action, Change, ChangeKind, Plan, Step, step_id
from pdctl.plan.up import Wanted, plan_up

ENTRIES: Final = 20_000
"""Journal entries that are looked through for earlier healing: half an hour of them is far fewer."""
AGAIN_S: Final = 300.0
"""A dead engine whose node is not fit to start it is tried again after this long."""
EVERYBODY: Final = "cluster"
"""The subject of what keeps anybody from being healed."""
EDITED: Final = "the inventory wants it otherwise, which was not applied yet: `pdctl up` does"


@dataclass(slots=True)
class HangBook:
    """For how long engines have had work and taken no step, from the snapshots of `watch`."""

    _since_s: dict[tuple[str, int | None], float] = field(default_factory=dict)

    def take(self, snapshot: Snapshot, now_s: float) -> None:
        """`now_s`: monotonic."""
        hung = {(name, seen.generation) for name, seen in snapshot.instances.items() if seen.vital is Vital.HUNG}
        self._since_s = {key: self._since_s.get(key, now_s) for key in hung}

    def hung_s(self, now_s: float) -> Mapping[str, float]:
        """By instance name."""
        return {name: now_s - since for (name, _), since in self._since_s.items()}


@dataclass(slots=True)
class Healer:
    """Heals one cluster, a look at a time. `read` is how the journal is read without a lease."""

    session: Session
    read: Callable[[Cluster, int], Awaitable[Record]] = record
    _told: dict[str, str] = field(default_factory=dict)  # what was last said of whom, so that it is said once
    _not_before_s: dict[str, float] = field(default_factory=dict)  # when who may not start is tried again
    _runs: int = 0

    async def look(self, opened: Opened, hung_s: Mapping[str, float] | None = None) -> None:
        """Look for the dead, and do about them what there is to do. Raises CancelledError only."""
        cluster = opened.cluster
        try:
            observed, kept = await asyncio.gather(observe(cluster), self.read(cluster, 0))
            observed = replace(observed, holds=kept.holds.at(cluster.clock.time()))
            if deaths(opened.deployment, observed, hung_s):
                kept = await self.read(cluster, ENTRIES)
            treatments = _treatments(opened.deployment, observed, kept, cluster.clock.time(), hung_s)
            for treatment in treatments:
                if treatment.remedy is Remedy.LEAVE:
                    self._left(treatment.death.instance, f"{treatment.death.cause}; {treatment.why}")
            if any(each.remedy is not Remedy.LEAVE and not self._rests(each.death, cluster) for each in treatments):
                await self._heal(opened, kept, hung_s)
        except PdctlError as error:
            self._left(EVERYBODY, error.message, error.hint)
        else:
            if not treatments:
                self._told.clear()

    async def _heal(self, opened: Opened, kept: Record, hung_s: Mapping[str, float] | None) -> None:
        self._runs += 1
        run = HealRun(opened, kept, hung_s or {})
        async with linked(self.session, f"{self.session.run}.heal{self._runs}") as session:
            await run.go(session)
        for death, trouble in run.blocked.items():
            self._not_before_s[death.instance] = opened.cluster.clock.monotonic() + AGAIN_S
            self._left(death.instance, f"{death.cause}; it may not start: {trouble.cause}", trouble.hint)

    def _rests(self, death: Death, cluster: Cluster) -> bool:
        """Whether it could not be started a short while ago: a check of its node is not made at every look."""
        return cluster.clock.monotonic() < self._not_before_s.get(death.instance, float("-inf"))

    def _left(self, subject: str, cause: str, hint: str = "") -> None:
        if self._told.get(subject) != cause:
            self._told[subject] = cause
            self.session.sink(HealWaits(subject, cause, hint))


def _treatments(
    deployment: Deployment, observed: Observed, kept: Record, now_s: float, hung_s: Mapping[str, float] | None
) -> tuple[Treatment, ...]:
    found = deaths(deployment, observed, hung_s)
    return treat(found, Memory.of_journal(kept.entries), now_s, _edited(deployment, kept.applied))


def _edited(deployment: Deployment, applied: Applied | None) -> Mapping[str, str]:
    """Instances that the inventory wants otherwise than it was applied."""
    old = applied_deployment(deployment, applied)
    if old is None or old is deployment:
        return {}
    now, before = wanted(deployment).hashes, wanted(old).hashes
    return {each.name: EDITED for each in deployment.instances if now[each.name] != before.get(each.name)}


@dataclass(slots=True)
class HealRun:
    """One run that treats everybody who is dead when it has the lease. `kept`: the journal, read just before."""

    opened: Opened
    kept: Record
    hung_s: Mapping[str, float]
    treated: tuple[Treatment, ...] = ()
    blocked: dict[Death, Trouble] = field(default_factory=dict)  # who would be relaunched, and may not start

    async def go(self, session: Session) -> int:
        deployment = self.opened.deployment
        run = Run(
            self.opened.cluster,
            "heal",
            self.plan,
            session,
            base=BaseRecord.of(deployment),
            gate=node_gate(self.opened),
            foreword=self.foreword,
            own_steps=self.own_steps,
            afterwards=self.afterwards,
        )
        return await run.go()

    def plan(self, observed: Observed, applied: Applied | None, refused: Mapping[str, Trouble]) -> Plan:
        """Relaunch and quarantine, by what is seen under the lease."""
        deployment = self.opened.deployment
        now_s = self.opened.cluster.clock.time()
        self.treated = _treatments(deployment, observed, self.kept, now_s, self.hung_s)
        relaunched = self._of(Remedy.RELAUNCH)
        hung = frozenset(death.instance for death in relaunched if death.hung)
        back = plan_up(
            deployment,
            _as_it_runs(wanted(deployment), observed),
            observed,
            only=frozenset(death.instance for death in relaunched),
            restart=hung,
            refused=refused,
            hung=hung,
        )
        why = {each.subject: each.trouble for each in back.blocked}
        self.blocked = {death: why[death.instance] for death in relaunched if death.instance in why}
        changes, steps = _quarantine(deployment, self._of(Remedy.QUARANTINE))
        plan = Plan("heal", (*back.changes, *changes), (*back.steps, *steps), back.blocked, warnings=back.warnings)
        return refuse_fences(deployment, plan)

    def foreword(self, plan: Plan) -> list[Event]:
        known: list[Event] = [Healing(each.instance, each.slots, each.cause) for each in self._relaunched()]
        return known + [Quarantined(each.instance, each.slots, each.cause) for each in self._of(Remedy.QUARANTINE)]

    def own_steps(self, ctx: RunContext) -> Mapping[Action, Handler]:
        async def hold(step: Step) -> Mapping[str, Any]:
            return await put_hold(ctx, self._hold, step)

        return {Action.HOLD: hold}

    def _hold(self, slot: str) -> Hold:
        cause = next(each.cause for each in self._of(Remedy.QUARANTINE) if slot in each.slots)
        reason = f"died again after it was relaunched: {cause}"
        return Hold(slot, HoldKind.QUARANTINED, operator(), reason, self.opened.cluster.clock.time())

    async def afterwards(self, ctx: RunContext, plan: Plan, tally: Tally, emit: Emit) -> str:
        for death in self._relaunched():
            if tally.ends.get(step_id(Action.REGISTER, death.instance)) is End.DONE:
                await emit(Healed(death.instance, death.cause))
            else:
                await emit(HealFailed(death.instance, "it does not serve, see the steps"))
        return ""

    def _relaunched(self) -> list[Death]:
        """Those that this run starts anew: what may not start was not relaunched, and is not held for that later."""
        return [death for death in self._of(Remedy.RELAUNCH) if death not in self.blocked]

    def _of(self, remedy: Remedy) -> list[Death]:
        return [each.death for each in self.treated if each.remedy is remedy]


def _as_it_runs(want: Wanted, observed: Observed) -> Wanted:
    """Router and registrar stay as they are, whatever was edited: healing changes nothing that lives."""
    found = {name: observed.unit(name) for name in (ROUTER, REGISTRAR)}
    kept = {name: unit.labels.spec_hash for name, unit in found.items() if unit is not None}
    return Wanted({**want.hashes, **kept})


def _quarantine(deployment: Deployment, dead: list[Death]) -> tuple[list[Change], list[Step]]:
    """Hold the slots, and take what is left of the engine out of the members and off its GPUs."""
    changes: list[Change] = []
    steps: list[Step] = []
    for death in dead:
        reason = f"died again: {death.cause}"
        held = []
        for slot in death.slots:
            changes.append(Change(ChangeKind.HOLD, slot, deployment.lease_node, reason))
            held.append(Step(Action.HOLD, slot, deployment.lease_node, reason))
        node = deployment.instance(death.instance).leader.node
        needs = tuple(step.id for step in held)
        steps += [*held, Step(Action.FENCE, death.instance, node, reason, needs=needs)]
        steps.append(Step(Action.STOP, death.instance, node, "", after=(step_id(Action.FENCE, death.instance),)))
    return changes, steps
