"""`watch --auto`: the policy's decisions become suggestions, or one journaled move at a time by the ordinary `move`.

The policy itself is `pdctl.advisor.policy`, pure. Here is what it sees and does: snapshots in, `move` out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from pdctl.advisor.first_step import donor_slot
from pdctl.advisor.fleet_of import Modelled, fleet_of
from pdctl.advisor.observation import Observation
from pdctl.advisor.policy import Action, Decision, Rebalancer, Settings
from pdctl.advisor.tick import TickBook
from pdctl.control.clock import Clock
from pdctl.control.cluster import Cluster
from pdctl.control.decision_book import DecisionBook
from pdctl.control.follow import OpenCluster, linked
from pdctl.control.history import Record, record
from pdctl.control.journal import Session
from pdctl.control.move import move, move_command
from pdctl.control.opened import Opened
from pdctl.control.request import MoveRequest
from pdctl.errors import PdctlError, TooThin
from pdctl.model.deployment import Deployment
from pdctl.model.hold import Holds
from pdctl.model.keeper_events import KeeperEvent, MoveSuggested, RatioDecided, Rebalanced, Rebalancing
from pdctl.model.role import EngineKind, Role
from pdctl.model.snapshot import Snapshot
from pdctl.perf.closed_form import ClosedForm
from pdctl.perf.profile import Profile

TICK_S: Final = 30.0
RESTART_S: Final = 300.0
SIMULATED_STOP_S: Final = 5.0
"""A simulated engine's stop, start, canary and first request beside its load time, measured on the demo's nodes."""

AGAIN_S: Final = (300.0, 900.0, 3600.0)
"""Waits after a move that did not succeed: what was in its way is seldom gone at the next tick. The last one stays."""


class Mode(StrEnum):
    SUGGEST = "suggest"
    APPLY = "apply"


def rebalancer_of(deployment: Deployment, profiles: Sequence[Profile], restart_s: float | None = None) -> Rebalancer:
    """The policy for that fleet. `restart_s` by the clock here; None: as engines of that kind usually take.
    Raises TooThin where no profile knows the fleet, or the policy does not know its shape."""
    restart_s = (usual_restart_s(deployment) if restart_s is None else restart_s) * pace_of(deployment)
    deployment = _life_size(deployment)
    modelled = fleet_of(deployment, profiles)
    _refuse_shape(modelled)
    instances = modelled.fleet.kinds[0].instances
    prefill, decode = instances[Role.PREFILL][0], instances[Role.DECODE][0]
    closed = ClosedForm(prefill, decode, modelled.fleet.transfer, deployment.slo)
    settings = Settings(
        prefill_floor=modelled.fleet.prefill_floor, decode_floor=modelled.fleet.decode_floor, restart_s=restart_s
    )
    return Rebalancer(closed, settings)


def usual_restart_s(deployment: Deployment) -> float:
    """From the end of a drain to the first request in the new role."""
    if deployment.engine.kind is not EngineKind.SIMULATED:
        return RESTART_S
    env = next(iter(deployment.pools.values())).env
    return SIMULATED_STOP_S + float(env.get("PDCTL_SIM_STARTUP_S") or 1.0)


def pace_of(deployment: Deployment) -> float:
    """How many times as fast as life its engines are: 1 of all but simulated ones."""
    if deployment.engine.kind is not EngineKind.SIMULATED:
        return 1.0
    env = next(iter(deployment.pools.values())).env
    return float(env.get("PDCTL_SIM_SPEED") or 1.0)


def _life_size(deployment: Deployment) -> Deployment:
    """The deployment as if its simulated engines ran at the pace of life: the policy's times are those of life, and so
    are then its engines' and its targets."""
    pace = pace_of(deployment)
    if pace == 1:
        return deployment
    pools = {name: replace(pool, env={**pool.env, "PDCTL_SIM_SPEED": "1"}) for name, pool in deployment.pools.items()}
    slo = replace(deployment.slo, ttft_s=deployment.slo.ttft_s * pace, itl_s=deployment.slo.itl_s * pace)
    return replace(deployment, pools=pools, slo=slo)


def _refuse_shape(modelled: Modelled) -> None:
    kinds = modelled.fleet.kinds
    if modelled.now is None:
        raise TooThin("colocated serving has no ratio to follow", hint="`pdctl advise` says whether to disaggregate")
    if len(kinds) > 1:
        raise TooThin(
            f"--auto follows fleets of one GPU kind: here are {', '.join(kind.name for kind in kinds)}",
            hint="`pdctl advise` ranks the splits of mixed fleets",
        )
    if any(len(kinds[0].instances.get(role, ())) != 1 for role in (Role.PREFILL, Role.DECODE)):
        raise TooThin(
            "--auto follows fleets whose slots hold one instance in either role",
            hint="`pdctl advise` ranks the splits of others",
        )


@dataclass(slots=True)
class Rebalance:
    """`look` often; every 30 s the policy decides, `pace` times as often where simulated engines are as quick.
    `read` is how the lease node's record is read without a lease."""

    session: Session
    clock: Clock
    mode: Mode
    policy: Rebalancer
    book: DecisionBook
    open_cluster: OpenCluster
    pace: float = 1.0
    read: Callable[[Cluster, int], Awaitable[Record]] = record
    ticks: TickBook = field(default_factory=TickBook)
    _due_s: float = float("-inf")
    _began_s: float | None = None
    _failures: int = 0
    _not_before_s: float = float("-inf")
    _in_vain: str = ""
    _moves: int = 0
    _moving: tuple[Role, asyncio.Task[None]] | None = None
    _latest: Snapshot | None = None

    @property
    def busy(self) -> bool:
        """Whether a move of ours is under way: nobody else changes the cluster meanwhile."""
        return self._moving is not None and not self._moving[1].done()

    def take(self, snapshot: Snapshot) -> None:
        self._latest = snapshot
        self.ticks.take(snapshot, self.clock.monotonic())

    async def look(self, opened: Opened) -> None:
        """Tick, if it is time to. Raises CancelledError only."""
        now_s = self.clock.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + TICK_S / self.pace
        ended = self._moving is not None and not self.busy
        if ended:
            self._moving = None
        holds, held = await self._held(opened.cluster)
        if ended and not held:  # who serves is read every so often, and may be that of before
            held = "a move has ended just now"
        moving = self._moving[0] if self._moving is not None else None
        seen = self.ticks.observe(self.clock.monotonic(), opened.deployment, holds, held=held, moving=moving)
        if seen is None:
            return
        if self._began_s is None:  # the policy's time begins with what it is shown first
            self._began_s = seen.at_s - seen.over_s
        shown = replace(seen, at_s=(seen.at_s - self._began_s) * self.pace, over_s=seen.over_s * self.pace)
        decision = self._unless_in_vain(self.policy.tick(shown))
        self._say(
            RatioDecided(
                decision.action,
                str(decision.ratio),
                str(decision.target) if decision.target is not None and decision.target != decision.ratio else "",
                decision.reason,
                {**_counted(seen), **decision.numbers},
            )
        )
        if decision.action is Action.MOVE:
            self._act(opened, decision, holds)

    def _unless_in_vain(self, decision: Decision) -> Decision:
        """Hold instead of moving for a while after a move that did not succeed."""
        left_s = self._not_before_s - self.clock.monotonic()
        if decision.action is not Action.MOVE or left_s <= 0:
            return decision
        reason = f"{decision.reason}; but {self._in_vain}: tried again in {left_s:.0f} s at the earliest"
        return replace(decision, action=Action.HOLD, donor=None, reason=reason)

    async def _held(self, cluster: Cluster) -> tuple[Holds, str]:
        """What is held, and why nothing may move at all: somebody is at work, or that cannot be known."""
        try:
            found = await self.read(cluster, 0)
        except PdctlError as error:
            return Holds(trouble=error.message), f"the lease node does not say what is held: {error.message}"
        held = f"`{found.running}` is at work" if found.running and not self.busy else ""
        return found.holds.at(self.clock.time()), held

    def _act(self, opened: Opened, decision: Decision, holds: Holds) -> None:
        assert decision.donor is not None
        slot = donor_slot(opened.deployment, decision.donor, self._latest, holds.standing)
        pool = _pool(opened.deployment, decision.donor.opposite)
        if slot is None or pool is None:
            why = f"no slot of {decision.donor} is free to move" if slot is None else "there is no one pool to move to"
            self._say(RatioDecided(Action.HOLD, str(decision.ratio), "", why, dict(decision.numbers)))
            return
        request = MoveRequest((slot.id,), pool)
        if self.mode is Mode.SUGGEST:
            self._say(MoveSuggested(slot.id, pool, decision.reason, move_command(request)))
            return
        self._say(Rebalancing(slot.id, pool, decision.reason))
        self._moves += 1
        path = Path(opened.deployment.source)
        self._moving = decision.donor, asyncio.create_task(self._move(path, request, slot.id))

    async def _move(self, path: Path, request: MoveRequest, slot: str) -> None:
        """The ordinary `move`, over connections of its own: the inventory changes on the way."""
        cause, code = "", 0
        try:
            async with (
                linked(self.session, f"{self.session.run}.auto{self._moves}") as session,
                self.open_cluster(path) as opened,
            ):
                code = await move(opened, request, session)
                cause = "" if code == 0 else "see the steps"
        except PdctlError as error:
            cause, code = error.message, error.exit_code
        self._failures = self._failures + 1 if code else 0
        if code:
            wait_s = AGAIN_S[min(self._failures, len(AGAIN_S)) - 1] / self.pace
            self._not_before_s = self.clock.monotonic() + wait_s
            self._in_vain = f"the move of {slot} ended with {code} ({cause})"
        self._say(Rebalanced(slot, request.to, code, cause))

    def _say(self, event: KeeperEvent) -> None:
        self.book.add(self.clock.time(), event)
        self.session.sink(event)

    async def settle(self) -> None:
        """Wait for the move that is under way: an interrupt has reached it already, and it ends at its safe point."""
        if self._moving is not None:
            await asyncio.gather(self._moving[1], return_exceptions=True)


def _counted(seen: Observation) -> dict[str, float]:
    """What came and what ended since the last decision, by the clock here."""
    counted = {"over_s": seen.over_s, "offered": float(seen.offered), "finished": float(seen.finished)}
    lengths = {"offered_isl": seen.isl, "finished_osl": seen.osl}
    return counted | {name: mean for name, mean in lengths.items() if mean is not None}


def _pool(deployment: Deployment, role: Role | None) -> str | None:
    """The pool of that role, where there is one only."""
    pools = [pool.name for pool in deployment.pools.values() if pool.role is role]
    return pools[0] if len(pools) == 1 else None
