"""Opt-in: the end that broken pairs have in common is taken out of service, by a journaled run under a hold.

Never on text alone, never below a pool's floor and never the last instance of a role: those refusals are `drain`'s own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final
from uuid import uuid4

from pdctl.control.canaries import Canaries
from pdctl.control.cluster import Cluster
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.control.lease import Applied, operator
from pdctl.control.run import Run
from pdctl.control.steps.hold import put_hold
from pdctl.errors import LeaseHeld, PdctlError, PlanRefused
from pdctl.model.events import Event, StepFailed
from pdctl.model.figure import Figure
from pdctl.model.hold import Hold, HoldKind
from pdctl.model.observed import Observed
from pdctl.model.role import Role
from pdctl.model.snapshot import Alert, AlertLevel, InstanceFigures, Snapshot
from pdctl.plan.drain import Asked, plan_drain
from pdctl.plan.held import slots_of
from pdctl.plan.steps import Action, Plan
from pdctl.telemetry.pairs import Blame, End

AGAIN_S: Final = 60.0
"""After an attempt that failed, the next one is not made sooner."""


@dataclass(slots=True)
class EndFencer:
    """Judges after every canary, and acts at most once at a time. What it did, or could not do, is an alert."""

    cluster: Cluster
    _told: dict[str, Alert] = field(default_factory=dict)
    _tried_s: float = float("-inf")

    def alerts(self, snapshot: Snapshot | None) -> tuple[Alert, ...]:
        """Of ends that it took out and that are not back, and of those that it could not take out."""
        instances = snapshot.instances if snapshot is not None else {}
        back = {name for name in self._told if name in instances and instances[name].member}
        return tuple(alert for name, alert in self._told.items() if alert.id != f"fenced:{name}" or name not in back)

    async def consider(self, canaries: Canaries, snapshot: Snapshot | None) -> None:
        """Take the blamed end out of service, if there is one and its queue is no excuse."""
        now_s = self.cluster.clock.monotonic()
        blame = canaries.book.blamed(canaries.ends(Role.PREFILL), canaries.ends(Role.DECODE))
        if blame is None:
            self._told = {name: alert for name, alert in self._told.items() if alert.id.startswith("fenced:")}
            return
        instance = snapshot.instances.get(blame.end.name) if snapshot is not None else None
        if instance is None or _queues(instance) or now_s - self._tried_s < AGAIN_S:
            return
        try:
            trouble = await fence_end(self.cluster, blame)
        except LeaseHeld:
            return  # somebody is at work: it is judged again with the next canary
        except PdctlError as error:
            trouble = error.message
        self._tried_s = now_s
        self._tell(blame, trouble)

    def _tell(self, blame: Blame, trouble: str) -> None:
        name, now_s = blame.end.name, self.cluster.clock.time()
        why = f"its canaries fail: {blame.words}"
        hint = f"`pdctl check --tier 2` tests its links; `pdctl undrain {_slot(self.cluster, name)}` brings it back"
        if trouble:
            cause = f"{why}; it was to leave service, and did not: {trouble}"
            self._told[name] = Alert(f"unfenced:{name}", AlertLevel.PAGE, name, cause, "`pdctl drain` by hand", now_s)
        else:
            self._told[name] = Alert(
                f"fenced:{name}", AlertLevel.WARN, name, f"taken out of service: {why}", hint, now_s
            )


async def fence_end(cluster: Cluster, blame: Blame) -> str:
    """Hold the slots of the blamed instance and fence it, unless it was launched anew since. What it has in hand ends.

    Returns why not all of it was done, "" where it was. Raises PlanRefused where a floor, a hold of somebody else or
    the last instance of a role is in the way, LeaseHeld, and NodeError's kinds.
    """
    deployment = cluster.deployment
    instance = deployment.instance(blame.end.name)
    hold = Hold("", HoldKind.QUARANTINED, operator(), f"canaries: {blame.words}", cluster.clock.time())
    asked = Asked(slots_of(instance), (instance,), hold)

    def make_plan(observed: Observed, applied: Applied | None, refused: object) -> Plan:
        _still_there(observed, blame.end)
        plan = plan_drain(deployment, observed, asked)
        steps = tuple(step for step in plan.steps if step.action is not Action.DRAIN)  # nobody waits for it here
        return replace(plan, steps=steps)

    failed: list[str] = []

    def sink(event: Event) -> None:
        if isinstance(event, StepFailed):
            failed.append(event.cause)

    run = Run(
        cluster,
        "watch --fence",
        make_plan,
        Session(sink, Interrupt(), f"fence-{uuid4().hex[:8]}"),
        needs_secrets=False,
        own_steps=lambda ctx: {Action.HOLD: partial(put_hold, ctx, asked.hold_of)},
    )
    code = await run.go()
    return "" if code == 0 else "; ".join(failed) or f"the run ended with {code}"


def _still_there(observed: Observed, end: End) -> None:
    """Raises PlanRefused where what was proven broken does not run any more."""
    unit = observed.unit(end.name)
    if unit is None or unit.labels.generation != end.generation:
        raise PlanRefused(f"{end.name} was launched anew, or stopped, since its canaries failed")


def _queues(instance: InstanceFigures) -> bool:
    """Whether a canary may have waited in its queue for too long: then it is slow, and not broken. Waiting for KV is
    what a broken pair looks like."""
    waiting, deferred = instance.load.waiting, instance.load.deferred
    if not isinstance(waiting, Figure):
        return True  # nothing is known of its queue
    held = deferred.low if isinstance(deferred, Figure) else waiting.low if instance.role is Role.DECODE else 0.0
    return waiting.low - held > 0


def _slot(cluster: Cluster, name: str) -> str:
    return slots_of(cluster.deployment.instance(name))[0]
