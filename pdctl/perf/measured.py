"""Measured runs as the model sees them: the offered requests, the layout that served them, and what came of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pdctl.perf.layout import Layout
from pdctl.perf.outcome import RunFigures, figures
from pdctl.perf.profile import Profile, roles_of
from pdctl.perf.simulate import simulate
from pdctl.perf.step_time import StepConstants
from pdctl.perf.workload import Workload

FIGURES = ("ttft_median_s", "itl_mean_s", "e2el_median_s", "tokens_per_s")
"""What is compared, by the names of RunFigures."""

SEEDS = range(2)
LOAD_STEP = 1.25
"""Two loads are different levels where the mean of requests in flight differs by a quarter."""


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """One load. `load` names it in all its repeats; `layout` as `2P3D`; `measured` has those of FIGURES that are
    known, all above 0; `in_flight` is the mean number of requests in the system. `repeats`: what was offered in further
    runs of the load, where `measured` is over all of them."""

    name: str
    load: str
    layout: str
    workload: Workload
    measured: Mapping[str, float]
    in_flight: float
    repeats: tuple[Workload, ...] = ()

    @property
    def per_rank_instances(self) -> int:
        """Instances that write tokens."""
        return sum(1 for role in roles_of(self.layout) if role.value != "prefill")


@dataclass(frozen=True, slots=True)
class SaidRun:
    """What the model says of it."""

    run: MeasuredRun
    said: Mapping[str, float] = field(default_factory=dict)

    def errors(self) -> dict[str, float]:
        """Signed, as shares of what was measured."""
        return {name: self.said[name] / value - 1 for name, value in self.run.measured.items()}

    def residuals(self) -> list[float]:
        """log(said / measured), in the order of what was measured."""
        return [math.log(max(self.said[name], 1e-9) / value) for name, value in self.run.measured.items()]


def say_run(
    run: MeasuredRun, profile: Profile, constants: StepConstants | None = None, seeds: Sequence[int] = SEEDS
) -> SaidRun:
    """Play the run on its layout of the profile's instances; the mean over `seeds`; where there are repeats, the
    median of them, as it was measured."""
    used = profile if constants is None else replace(profile, constants=constants)
    layout = used.layout(run.layout)
    found = [[_figures(layout, offered, seed) for seed in seeds] for offered in (run.workload, *run.repeats)]
    return SaidRun(run, {name: statistics.median(_mean(name, one) for one in found) for name in FIGURES})


def _mean(name: str, found: Sequence[RunFigures]) -> float:
    return sum(float(getattr(one, name)) for one in found) / len(found)


def _figures(layout: Layout, workload: Workload, seed: int) -> RunFigures:
    return figures(simulate(layout, workload, seed=seed))


def median_of_repeats(runs: Iterable[MeasuredRun]) -> tuple[MeasuredRun, ...]:
    """One run for each load: the median of each figure, for on a machine that others use one repeat of several may be
    off by half. A mean of two is no such help: three are wanted."""
    loads: dict[tuple[str, str], list[MeasuredRun]] = {}
    for run in runs:
        loads.setdefault((run.layout, run.load), []).append(run)
    return tuple(_median(of_load) for of_load in loads.values())


def _median(runs: Sequence[MeasuredRun]) -> MeasuredRun:
    first, *more = runs
    known = [name for name in FIGURES if all(name in run.measured for run in runs)]
    return replace(
        first,
        name=f"{first.name}, median of {len(runs)}" if more else first.name,
        measured={name: statistics.median(run.measured[name] for run in runs) for name in known},
        in_flight=statistics.median(run.in_flight for run in runs),
        repeats=(*first.repeats, *(run.workload for run in more)),
    )


def levels(runs: Iterable[MeasuredRun]) -> int:
    """How many load levels the runs cover, by requests in flight."""
    found, last = 0, 0.0
    for busy in sorted(run.in_flight for run in runs):
        if not found or busy > last * LOAD_STEP:
            found, last = found + 1, busy
    return found


def halves(runs: Sequence[MeasuredRun]) -> tuple[tuple[MeasuredRun, ...], tuple[MeasuredRun, ...]]:
    """Every other load, the lightest first, for a fit; and the rest, for it to predict. Repeats stay together."""
    lightest: dict[tuple[str, str], float] = {}
    for run in runs:
        key = (run.layout, run.load)
        lightest[key] = min(run.in_flight, lightest.get(key, math.inf))
    order = sorted(lightest, key=lambda key: lightest[key])
    fitted = set(order[::2])
    return (
        tuple(run for run in runs if (run.layout, run.load) in fitted),
        tuple(run for run in runs if (run.layout, run.load) not in fitted),
    )
