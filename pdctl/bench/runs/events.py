"""What a run of points says while it goes; the view on a terminal, the lines of `--json` and tests listen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pdctl.bench.figures.figures import Figures
from pdctl.model.events import Event


@dataclass(frozen=True, slots=True)
class BenchStarted(Event):
    """`requests`: of all points; `done`: points that an earlier run has measured."""

    event: ClassVar[str] = "bench_started"
    directory: str
    driver: str
    points: int
    requests: int
    done: int = 0


@dataclass(frozen=True, slots=True)
class PointStarted(Event):
    """`number` counts from 1 over all points. `left`: requests still to be sent, of `requests`. `duration_s`: how long
    it is sent at most; `requests` is then more than will be."""

    event: ClassVar[str] = "point_started"
    point: str
    number: int
    points: int
    requests: int
    left: int
    stretch: int = 0
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """`ended`: requests of the point that have ended, in all its stretches. `elapsed_s`: of its measured time; None
    before the first request of this stretch has ended, while the driver warms up for instance. `eta_s`: until the end
    of the point, `run_eta_s`: of the run; None while there is too little to tell."""

    event: ClassVar[str] = "progress"
    point: str
    number: int
    points: int
    ended: int
    requests: int
    ok: int
    failed: int
    elapsed_s: float | None
    eta_s: float | None
    run_eta_s: float | None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class PointDone(Event):
    """`earlier`: measured by an earlier run, and not again. `failures`: the commonest causes, each with its count."""

    event: ClassVar[str] = "point_done"
    point: str
    number: int
    points: int
    figures: Figures
    stretches: int = 1
    earlier: bool = False
    failures: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PointFailed(Event):
    """The point could not be measured; the run goes on with the next one."""

    event: ClassVar[str] = "point_failed"
    point: str
    number: int
    points: int
    cause: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class PointCut(Event):
    """The operator stopped it. Its rows are kept, and --resume goes on with the requests that have none."""

    event: ClassVar[str] = "point_cut"
    point: str
    number: int
    points: int
    ended: int
    requests: int


@dataclass(frozen=True, slots=True)
class BenchTold(Event):
    """Something about the run that the operator should know, and that stops nothing."""

    event: ClassVar[str] = "bench_told"
    text: str


@dataclass(frozen=True, slots=True)
class BenchEnded(Event):
    """`measured`, `failed`, `left`: points. `hint`: how to go on, where something is left."""

    event: ClassVar[str] = "bench_ended"
    directory: str
    measured: int
    failed: int
    left: int
    took_s: float
    exit_code: int
    hint: str = ""
