"""A small run against the scripted driver: what tests of the run directory share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from pdctl.bench.driver import Driver
from pdctl.bench.point import Point, Target
from pdctl.bench.runs.definition import Definition, define, note_target
from pdctl.bench.runs.directory import RunDirectory, open_run
from pdctl.bench.runs.meta import meta_of
from pdctl.bench.runs.runner import Manner, Player, Silence, Tally
from pdctl.control.clock import SystemClock
from pdctl.control.execute import Interrupt
from pdctl.model.deployment import Slo
from pdctl.model.events import Event
from pdctl.perf.workload import Asked, Workload

TARGET = Target("http://127.0.0.1:1", "m", gpus=4, usd_per_hour=8.0)
SLO = Slo(1.0, 0.05, 0.9)


def point(
    requests: int = 10, *, load: str = "c2", gap_s: float = 0.0, osl: int = 4, concurrency: int | None = 2
) -> Point:
    """One point of `requests` requests, offered `gap_s` apart."""
    asked = tuple(Asked(gap_s * index, 16, osl) for index in range(requests))
    return Point("server", "16/4", load, 0, Workload(asked, concurrency))


def definition(points: Sequence[Point]) -> Definition:
    return define("scripted", {"server": note_target(TARGET)}, points, slo=SLO)


@contextlib.contextmanager
def opened(path: Path, points: Sequence[Point]) -> Iterator[RunDirectory]:
    meta = meta_of(definition(points), run="r", started="2026-01-01T00:00:00Z")
    with open_run(path, meta) as run:
        yield run


async def play(
    path: Path,
    points: Sequence[Point],
    driver: Driver,
    *,
    interrupt: Interrupt | None = None,
    manner: Manner | None = None,
    events: list[Event] | None = None,
    silence: Silence | None = None,
) -> Tally:
    """Play the points into the run at `path`, as one process would."""
    heard: list[Event] = [] if events is None else events
    with opened(path, points) as run:
        targets = {"server": TARGET}
        player = Player(run, driver, targets, heard.append, interrupt or Interrupt(), SystemClock(), manner or Manner())
        player.silence = silence
        return await player.play(points)
