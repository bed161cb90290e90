"""Stands in for a driver where a test is about what a run makes of it: no clock, no network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pdctl.bench.driver import Measured
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.model.outcome import Outcome
from pdctl.perf.workload import Asked


def answered(index: int, asked: Asked) -> Row:
    """A good answer: 100 ms to the first token, 10 ms between tokens."""
    gaps_s = (0.01,) * (asked.osl - 1)
    return Row(
        index=index,
        request_id=f"scripted-{index}",
        at_s=asked.at_s,
        sent_s=asked.at_s,
        isl=asked.isl,
        osl=asked.osl,
        outcome=Outcome.OK,
        ttft_s=0.1,
        e2el_s=0.1 + sum(gaps_s),
        gaps_s=gaps_s,
        tokens=asked.osl,
        prompt_tokens=asked.isl,
        status=200,
    )


class ScriptedDriver:
    """A `bench.driver.Driver`: requests end in their order, each by `answer`. `before` is called with the index of each
    request before it is sent; what it raises is the driver's own failure. `sent` keeps the indices of all runs."""

    def __init__(
        self,
        answer: Callable[[int, Asked], Row] = answered,
        *,
        before: Callable[[int], None] | None = None,
        took_s: float | None = None,
        stall: str = "",
    ) -> None:
        self._answer = answer
        self._before = before
        self._took_s = took_s
        self._stall = stall
        self.sent: list[int] = []

    @property
    def name(self) -> str:
        return "scripted"

    async def run(
        self, point: Point, target: Target, *, on_row: Callable[[Row], None], stop: Callable[[], bool]
    ) -> Measured:
        rows: list[Row] = []
        for position, asked in enumerate(point.workload.asked):
            if stop():
                break
            index = point.index(position)
            if self._before is not None:
                self._before(index)
            self.sent.append(index)
            rows.append(self._answer(index, asked))
            on_row(rows[-1])
            await asyncio.sleep(0)
        took_s = max((row.sent_s + row.e2el_s for row in rows), default=0.0) if self._took_s is None else self._took_s
        return Measured(tuple(rows), took_s, stopped=len(rows) < len(point.workload.asked), stall=self._stall)
