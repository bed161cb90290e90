"""One stretch of a point: the driver runs, rows go to their file as requests end, progress is told meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pdctl.bench.driver import Driver, Measured
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.bench.runs.row_codec import shifted
from pdctl.bench.runs.row_file import RowFile
from pdctl.control.clock import Clock


class Stop(Protocol):
    """The operator's word, as `control.execute.Interrupt` has it: `asked` to send no more, `insisted` on now."""

    @property
    def asked(self) -> asyncio.Event: ...

    @property
    def insisted(self) -> asyncio.Event: ...


@dataclass(slots=True)
class Count:
    """Requests of the point that have ended, in this stretch and before."""

    ok: int = 0
    failed: int = 0
    here: int = 0

    @property
    def ended(self) -> int:
        return self.ok + self.failed

    def add(self, row: Row) -> None:
        self.ok += row.ok
        self.failed += not row.ok


@dataclass(slots=True)
class ToolProgress:
    """What an external tool shows of its progress: its rows come only at its end."""

    done: int = 0

    def note(self, done: int, of: int) -> None:
        """As `Means.on_progress`."""
        self.done = done


@dataclass(frozen=True, slots=True)
class Ran:
    """How a stretch went. `measured` None: the operator insisted, and what was in flight has no row."""

    took_s: float
    measured: Measured | None


@dataclass(frozen=True, slots=True)
class StretchRunner:
    """`every_s`: how often `tick` is called, with the seconds since the first request was due; None before one has
    ended: a driver's warm-up is not told from a server that takes long."""

    driver: Driver
    clock: Clock
    stop: Stop
    every_s: float = 1.0
    tool: ToolProgress = field(default_factory=ToolProgress)

    async def run(
        self,
        point: Point,
        target: Target,
        out: RowFile,
        *,
        offset_s: float,
        count: Count,
        tick: Callable[[float | None], None],
    ) -> Ran:
        """Send all of `point`; times in `out` are shifted by `offset_s`, the length of the stretches before.

        Raises BenchError where the driver cannot run or rows cannot be written; then nothing runs on.
        """
        rows: asyncio.Queue[Row | None] = asyncio.Queue()
        self.tool.done = 0
        sending_s: list[float] = []  # when the part that is measured began, once a row says it

        def note(row: Row) -> None:
            count.add(row)
            count.here += 1
            if not sending_s:
                sending_s.append(self.clock.monotonic() - row.sent_s - row.e2el_s)
            rows.put_nowait(row)

        driving = asyncio.create_task(self.driver.run(point, target, on_row=note, stop=self.stop.asked.is_set))
        writing = asyncio.create_task(_write(rows, out, offset_s))
        ticking = asyncio.create_task(self._tick(sending_s, tick))
        insisted = asyncio.create_task(self.stop.insisted.wait())
        try:
            await asyncio.wait({driving, writing, insisted}, return_when=asyncio.FIRST_COMPLETED)
            took_s = self.clock.monotonic() - sending_s[0] if sending_s else 0.0
            if not driving.done():
                await _end(driving)
            rows.put_nowait(None)
            await writing  # first: where rows cannot be written, that is why everything ended
            if driving.cancelled():
                return Ran(took_s, None)
            measured = driving.result()
            return Ran(measured.took_s, measured)
        finally:
            await _end(driving, writing, ticking, insisted)

    async def _tick(self, sending_s: list[float], tick: Callable[[float | None], None]) -> None:
        while True:
            await self.clock.sleep(self.every_s)
            if not sending_s and self.tool.done:
                sending_s.append(self.clock.monotonic() - self.every_s)
            tick(self.clock.monotonic() - sending_s[0] if sending_s else None)


async def _write(rows: asyncio.Queue[Row | None], out: RowFile, offset_s: float) -> None:
    """One row at a time, and then the loop's turn: when hundreds of long answers end at once, writing them in a row
    would stop the clocks of those that go on."""
    while (row := await rows.get()) is not None:
        out.append(shifted(row, offset_s))
        await asyncio.sleep(0)


async def _end(*tasks: asyncio.Task[object] | asyncio.Task[Measured] | asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):  # whoever awaited the task has its error
            await task


def unsent(point: Point, rows: Sequence[Row]) -> int:
    """Requests of the point that have no row."""
    return len(set(range(len(point.workload.asked))) - {row.index for row in rows})
