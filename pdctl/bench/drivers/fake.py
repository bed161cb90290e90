"""Stands in for a driver where a test is about what is made of its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pdctl.bench.driver import Measured
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row


class ScriptedDriver:
    """A `bench.driver.Driver` that yields what `script` makes of each point; `asked` keeps the points and targets."""

    name = "scripted"

    def __init__(self, script: Callable[[Point], Sequence[Row]]) -> None:
        self._script = script
        self.asked: list[tuple[Point, Target]] = []

    async def run(
        self,
        point: Point,
        target: Target,
        *,
        on_row: Callable[[Row], None],
        stop: Callable[[], bool],
    ) -> Measured:
        self.asked.append((point, target))
        rows: list[Row] = []
        stopped = False
        for row in self._script(point):
            if stopped := stop():
                break
            rows.append(row)
            on_row(row)
        return Measured(tuple(rows), max((row.sent_s + row.e2el_s for row in rows), default=0.0), stopped)
