"""A recording in the place of a live cluster: the same screens, with a player's controls, and nothing to change."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from pdctl.control.clock import Clock, SystemClock
from pdctl.control.execute import Interrupt
from pdctl.control.proposal import Proposal
from pdctl.control.request import Request
from pdctl.control.status import ClusterStatus
from pdctl.errors import PdctlError, PlanRefused, UsageError
from pdctl.health.report import Report
from pdctl.model.deployment import Budgets, Deployment, EngineSpec, KvSpec, ModelSpec, RouterSpec, Slo
from pdctl.model.events import Event
from pdctl.model.observed import Trouble
from pdctl.model.role import Connector, EngineKind, RouterKind, SupervisorKind, TransferMode
from pdctl.model.snapshot import PairFigures, Snapshot
from pdctl.supervisors.ports import LogLine
from pdctl.telemetry.recording import Recording
from pdctl.tui.playback import Playhead, at_speed, following, sought, stepped, toggled
from pdctl.tui.ports import Activity

FRAME_S: Final = 0.25
"""No two snapshots are shown within this: where a recording plays faster, some are passed over."""
_WHY: Final = "this is a recording"


class Recorded(Protocol):
    """What is played: `telemetry.recording.Recording`."""

    times: tuple[float, ...]

    def snapshot(self, place: int) -> Snapshot: ...


class RecordingFeed:
    """Plays a recording; it is its own transport. It does not end: at its end it stands still, and can go back."""

    def __init__(self, recording: Recorded, *, first: int = 0, speed: float = 1.0, clock: Clock | None = None) -> None:
        """Raises UsageError for a recording without any snapshot."""
        if not recording.times:
            raise UsageError("the recording holds no snapshot yet")
        self._recording = recording
        self._clock = clock or SystemClock()
        self._head = at_speed(Playhead(first, playing=len(recording.times) > 1), speed)
        self._frame_s = FRAME_S
        self._changed = asyncio.Event()

    @property
    def transport(self) -> RecordingFeed:
        return self

    @property
    def interval_s(self) -> float:
        return self._frame_s

    def set_interval(self, interval_s: float) -> None:
        """No two snapshots are shown within this."""
        self._frame_s = interval_s

    @property
    def times(self) -> Sequence[float]:
        return self._recording.times

    @property
    def place(self) -> int:
        return self._head.place

    @property
    def playing(self) -> bool:
        return self._head.playing

    @property
    def speed(self) -> float:
        return self._head.speed

    @property
    def live(self) -> bool:
        return False

    def toggle(self) -> None:
        self._go(toggled(self._head, self.times))

    def step(self, count: int) -> None:
        self._go(stepped(self._head, self.times, count))

    def seek(self, taken_s: float) -> None:
        self._go(sought(self._head, self.times, taken_s))

    def set_speed(self, speed: float) -> None:
        self._go(at_speed(self._head, speed))

    def _go(self, head: Playhead) -> None:
        self._head = head
        self._changed.set()

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Each that is to be shown, when its time has come or the operator asks for it."""
        shown: tuple[int, bool, float] | None = None
        last: Snapshot | None = None
        while True:
            self._changed.clear()
            now = (self._head.place, self._head.playing, self._head.speed)
            if now != shown:
                shown = now
                last = await self._read(self._head.place, last)
                yield last
                continue
            await self._wait()

    async def _wait(self) -> None:
        """Until the next place is due, which it then goes to, or the operator touches the controls."""
        ahead = following(self._head, self.times, self._frame_s) if self._head.playing else None
        if ahead is None:
            if self._head.playing:  # the end
                self._head = replace(self._head, playing=False)
                return
            await self._changed.wait()
            return
        place, wait_s = ahead
        if not await _within(self._changed, wait_s, self._clock):
            self._head = replace(self._head, place=place)

    async def _read(self, place: int, last: Snapshot | None) -> Snapshot:
        """In a thread: a block of sixty snapshots of a large cluster takes a second to unpack."""
        try:
            return await asyncio.to_thread(self._recording.snapshot, place)
        except ValueError as error:
            if last is None:
                raise UsageError(str(error), hint="begin elsewhere with --at, or open it again") from error
            note = f"{error}; what is shown is from before"
            return last if note in last.notes else replace(last, notes=(*last.notes, note))


async def _within(event: asyncio.Event, seconds: float, clock: Clock) -> bool:
    """Whether it was set before so many seconds passed."""
    tasks = asyncio.create_task(event.wait()), asyncio.create_task(clock.sleep(seconds))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return event.is_set()
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


class RecordingOperations:
    """What can be asked of a recording: nothing but what it shows. `fleet`: an inventory of its cluster, for advice."""

    def __init__(self, path: Path, cluster: str = "", fleet: Deployment | None = None) -> None:
        self._path = path
        self._deployment = fleet or nothing_known(cluster)

    @property
    def deployment(self) -> Deployment:
        """What is wanted today, where that is known; a recording holds no inventory: then the cluster's name alone."""
        return self._deployment

    @property
    def read_only(self) -> str:
        return f"{_WHY} ({self._path.name})"

    async def propose(self, request: Request) -> Proposal:
        raise PlanRefused(f"{_WHY}: nothing can be changed in it", hint="`pdctl` without `replay` opens the cluster")

    async def carry_out(self, request: Request, sink: Callable[[Event], None], interrupt: Interrupt) -> int:
        raise PlanRefused(f"{_WHY}: nothing can be changed in it", hint="`pdctl` without `replay` opens the cluster")

    async def logs(self, names: Sequence[str], *, lines: int) -> AsyncIterator[tuple[str, LogLine | Trouble]]:
        for name in names:
            yield name, Trouble(f"{_WHY}, which holds no logs", "`pdctl bundle` keeps logs beside a recording")

    async def activity(self, lines: int) -> Activity:
        return Activity((), f"{_WHY}, which holds no journal; `pdctl events` shows the cluster's")

    async def status(self) -> ClusterStatus:
        raise UsageError(f"{_WHY}: what runs now is not known here", hint="`pdctl status` asks the nodes")

    async def health(self) -> Report:
        raise UsageError(f"{_WHY}: no node can be checked through it", hint="`pdctl check` asks the nodes")

    async def canary(self, rounds: int) -> tuple[PairFigures, ...]:
        raise UsageError(f"{_WHY}: no canary can be sent through it", hint="`pdctl canary` sends them")


def nothing_known(cluster: str) -> Deployment:
    """A deployment of which only the name is known."""
    router = RouterSpec(RouterKind.VLLM_ROUTER, "", 0, SupervisorKind.PROCESS)
    return Deployment(
        cluster=cluster,
        model=ModelSpec("", ""),
        slo=Slo(0.0, 0.0, 0.0),
        engine=EngineSpec(EngineKind.SIMULATED, "0", SupervisorKind.PROCESS),
        kv=KvSpec(Connector.NONE, TransferMode.READ),
        router=router,
        pools={},
        nodes={},
        slots=(),
        instances=(),
        secrets=(),
        lease_node="",
        budgets=Budgets(),
        source="",
        digest="",
    )


def open_recording(
    path: Path, *, first: int = 0, speed: float = 1.0, inventory: Path | None = None
) -> tuple[RecordingFeed, RecordingOperations, Recording]:
    """A feed and operations over the recording at `path`; the caller closes the last. Raises UsageError."""
    recording = Recording(path)
    try:
        return (
            RecordingFeed(recording, first=first, speed=speed),
            RecordingOperations(path, recording.cluster, fleet_of_cluster(inventory, recording.cluster)),
            recording,
        )
    except BaseException:
        recording.close()
        raise


def fleet_of_cluster(inventory: Path | None, cluster: str) -> Deployment | None:
    """The inventory's deployment, where there is one and it is of that cluster: a recording can be seen without."""
    if inventory is None or not inventory.exists():
        return None
    from pdctl.control.read_deployment import read_deployment

    try:
        found = read_deployment(inventory)[1]
    except PdctlError:
        return None
    return found if found.cluster == cluster else None
