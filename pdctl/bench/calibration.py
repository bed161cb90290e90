"""What the directories of benchmark runs hold, as runs that the performance model can be fitted to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pdctl.bench.figures.figures import Figures
from pdctl.bench.runs.read import ReadPoint, Run
from pdctl.errors import UsageError
from pdctl.model.deployment import Parallel
from pdctl.perf.measured import MeasuredRun
from pdctl.perf.profile import roles_of
from pdctl.perf.workload import Asked, Workload

LEAST_REQUESTS = 10
"""A median of fewer says little."""
MOST_FAILED = 0.05
"""With more failures than that, the latencies of those that were served are no measure of the load."""

_POOL = re.compile(r"(?P<pool>\S+) (?P<count>\d+)x tp(?P<tp>\d+) dp(?P<dp>\d+)(?P<ep> ep)?")


@dataclass(frozen=True, slots=True)
class Served:
    """What served a run: instances by role, all of one shape."""

    layout: str
    parallel: Parallel


def served_by(words: str) -> Served | None:
    """From a target's note of its pools, such as `prefill 1x tp1 dp8 ep, decode 2x tp1 dp8 ep; moriio write`; None
    where pools are not named for their role, or have several shapes: then the operator has to say."""
    pools = [found for part in words.split(";")[0].split(", ") if (found := _POOL.fullmatch(part.strip()))]
    counts: dict[str, int] = {}
    for pool in pools:
        letter = next((role[0].upper() for role in ("prefill", "decode", "mixed") if role in pool["pool"]), "")
        counts[letter] = counts.get(letter, 0) + int(pool["count"])
    shapes = {(pool["tp"], pool["dp"], bool(pool["ep"])) for pool in pools}
    layout = "".join(f"{counts[letter]}{letter}" for letter in "PDM" if letter in counts)
    if len(shapes) != 1 or set(counts) not in ({"M"}, {"P", "D"}):
        return None
    [(tp, dp, ep)] = shapes
    return Served(layout, Parallel(int(tp), int(dp), ep))


@dataclass(frozen=True, slots=True)
class Measurements:
    """`left_out`: points that are no measure, each with why."""

    runs: tuple[MeasuredRun, ...]
    left_out: tuple[str, ...]


def measurements(runs: Iterable[Run], layout: str | None = None) -> Measurements:
    """Every point that has figures. `layout` is taken where the run's own note does not tell. Raises UsageError where
    neither does, or `layout` is none; BenchError for rows that cannot be read."""
    if layout is not None:
        _checked(layout)
    found, left_out = [], []
    for run in runs:
        for point in run.points:
            why = _unfit(point)
            if why:
                left_out.append(f"{run.path.name}: {point.id}: {why}")
                continue
            noted = served_by(run.target(point).layout)
            used = layout or (noted.layout if noted else None)
            if used is None:
                raise UsageError(
                    f"{run.path} does not say which instances served it",
                    hint="--layout 2P3D, or 1M for one server that does both",
                )
            found.append(_measured(run, point, used))
    return Measurements(tuple(found), tuple(left_out))


def _checked(layout: str) -> None:
    try:
        roles_of(layout)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _unfit(point: ReadPoint) -> str:
    """Why the point cannot be fitted to; "" where it can."""
    figures = point.figures
    if figures is None:
        return "not measured to its end"
    offered = figures.counts.total
    if figures.counts.ok < LEAST_REQUESTS:
        return f"{figures.counts.ok} requests were served: at least {LEAST_REQUESTS} are wanted"
    if offered - figures.counts.ok > MOST_FAILED * offered:
        return f"{offered - figures.counts.ok} of {offered} requests were not served"
    return ""


def _measured(run: Run, point: ReadPoint, layout: str) -> MeasuredRun:
    figures = point.figures
    assert figures is not None
    rows = sorted(point.rows(), key=lambda row: row.at_s)
    asked = tuple(
        Asked(row.at_s, max(1, row.isl if row.prompt_tokens is None else row.prompt_tokens), max(1, row.tokens))
        for row in rows
        if row.ok
    )
    note = point.note
    return MeasuredRun(
        name=f"{run.path.name}: {point.id}",
        load=f"{note.deployment}/{note.scenario}/{note.load}",
        layout=layout,
        workload=Workload(asked, note.concurrency),
        measured=_known(figures),
        in_flight=figures.in_flight_mean,
    )


def _known(figures: Figures) -> dict[str, float]:
    values = {
        "ttft_median_s": figures.ttft.median_s if figures.ttft else None,
        "itl_mean_s": _between_tokens_s(figures),
        "e2el_median_s": figures.e2el.median_s if figures.e2el else None,
        "tokens_per_s": figures.tps_total,
    }
    return {name: value for name, value in values.items() if value is not None and value > 0}


def _between_tokens_s(figures: Figures) -> float | None:
    """The mean time between two tokens. Gaps are those between events: a server that lags puts several tokens into one
    (real vLLM on busy cores: 630 gaps between 744 tokens), and then their mean is longer. Some clients tell none."""
    tokens = figures.tokens_out - figures.counts.ok
    if figures.itl is None or tokens <= 0:
        return None if figures.tpot is None else figures.tpot.mean_s
    return figures.itl.mean_s * figures.itl.count / tokens
