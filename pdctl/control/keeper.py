"""`watch --apply`, `--heal` and `--auto`: one loop that follows the inventory file, looks after the engines and keeps
the ratio of the pools, in turns.

One change at a time: nothing is healed while a new inventory is applied. An interrupt ends a run at its safe point, and
then the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from pdctl.control.clock import Clock
from pdctl.control.follow import Follower, OpenCluster, SettledFile
from pdctl.control.heal import EVERYBODY, HangBook, Healer
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.rebalance import Rebalance
from pdctl.control.watch import watching
from pdctl.errors import InventoryError
from pdctl.model.events import Event
from pdctl.model.keeper_events import HealFailed, Healing, HealWaits, KeepingBegan, Quarantined
from pdctl.model.snapshot import Alert, AlertLevel, Snapshot
from pdctl.telemetry.alerts import Change

POLL_S: Final = 1.0
HEAL_EVERY_S: Final = 10.0
SCRAPE_S: Final = 2.0
LEAST_S: Final = 0.5
"""How often engines are asked whether they take steps: hanging is told in minutes."""


@dataclass(slots=True)
class Keeper:
    """`follower` None: the file is not followed; `healer` None: nothing is healed; `rebalance` None: the ratio stays.
    `watches_hangs`: engines' figures are read too, which tells those that hang."""

    session: Session
    clock: Clock
    file: SettledFile
    open_cluster: OpenCluster
    follower: Follower | None = None
    healer: Healer | None = None
    rebalance: Rebalance | None = None
    watches_hangs: bool = True
    _patient: Patient | None = None
    _healed_s: float = field(default=float("-inf"))

    async def run(self) -> None:
        """Until the operator interrupts it."""
        asked = self.session.interrupt.asked
        auto = self.rebalance.mode.value if self.rebalance is not None else ""
        began = KeepingBegan(str(self.file.path), self.follower is not None, self.healer is not None, auto)
        self.session.sink(began)
        try:
            while not asked.is_set():
                busy = self.rebalance is not None and self.rebalance.busy
                if self.follower is not None and not busy:
                    await self.follower.look()
                if self.healer is not None and not busy and not asked.is_set():
                    await self._heal(self.healer)
                if self.rebalance is not None and not asked.is_set():
                    await self._rebalance(self.rebalance)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await asked.wait()
        finally:
            if self.rebalance is not None:
                await self.rebalance.settle()
            await self._leave()

    async def _rebalance(self, rebalance: Rebalance) -> None:
        patient = self._patient if rebalance.busy else await self._open()
        if patient is not None:
            await rebalance.look(patient.opened)

    async def _heal(self, healer: Healer) -> None:
        now_s = self.clock.monotonic()
        if now_s - self._healed_s < HEAL_EVERY_S:
            return
        self._healed_s = now_s
        patient = await self._open()
        if patient is not None:
            await healer.look(patient.opened, patient.hangs.hung_s(self.clock.monotonic()))

    async def _open(self) -> Patient | None:
        """The cluster by its file as it is; as it was, while the file is not valid or may still change."""
        digest = self.file.look(self.clock.monotonic())
        held = self._patient
        if digest is None or (held is not None and held.opened.deployment.digest == digest):
            return held
        stack = AsyncExitStack()
        try:
            opened = await stack.enter_async_context(self.open_cluster(self.file.path))
        except InventoryError:
            return held
        await self._leave()
        self._patient = Patient(opened, stack, rebalance=self.rebalance)
        if self.watches_hangs:
            await self._patient.watch(self.clock)
        return self._patient

    async def _leave(self) -> None:
        if self._patient is not None:
            await self._patient.stack.aclose()
            self._patient = None


@dataclass(slots=True)
class Patient:
    """A cluster that is looked after, with what is held open for that."""

    opened: Opened
    stack: AsyncExitStack
    hangs: HangBook = field(default_factory=HangBook)
    rebalance: Rebalance | None = None

    @property
    def scrape_s(self) -> float:
        return SCRAPE_S if self.rebalance is None else max(LEAST_S, SCRAPE_S / self.rebalance.pace)

    async def watch(self, clock: Clock) -> None:
        """Read the engines' figures from now on."""
        watch = await self.stack.enter_async_context(watching(self.opened.cluster, interval_s=self.scrape_s))
        reading = asyncio.create_task(self._read(watch.snapshots(), clock))
        self.stack.push_async_callback(_ended, reading)

    async def _read(self, snapshots: AsyncIterator[Snapshot], clock: Clock) -> None:
        async for snapshot in snapshots:
            self.hangs.take(snapshot, clock.monotonic())
            if self.rebalance is not None:
                self.rebalance.take(snapshot)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def alert_of(event: Event, now_s: float) -> Change | None:
    """What somebody should be told of an event of healing, wherever they are; None for all others."""
    match event:
        case Healing():
            said = (
                AlertLevel.WARN,
                f"died and is relaunched: {event.cause}",
                "`pdctl events` and `pdctl logs` tell more",
            )
        case HealFailed():
            said = (AlertLevel.PAGE, f"was relaunched and does not serve: {event.cause}", "`pdctl status` tells more")
        case Quarantined():
            hint = f"find out why, then `pdctl undrain {' '.join(event.slots)}`"
            said = (AlertLevel.PAGE, f"died again and is quarantined: {event.cause}", hint)
        case HealWaits() if event.subject != EVERYBODY:
            said = (AlertLevel.WARN, f"is dead, and is left so: {event.cause}", event.hint)
        case _:
            return None
    level, cause, hint = said
    return Change(Alert(f"{event.event}:{event.subject}", level, event.subject, cause, hint, now_s), raised=True)
