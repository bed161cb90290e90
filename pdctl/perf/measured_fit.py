"""A profile from measured runs: which constants they can tell, from where the fit begins, and when they are too few."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pdctl.errors import TooThin
from pdctl.perf.calibrate import Fit, fit
from pdctl.perf.measured import MeasuredRun, SaidRun, levels, say_run
from pdctl.perf.profile import ModelError, Profile
from pdctl.perf.step_time import StepConstants

VAGUE = 5.0
"""A constant that may be off by more than this factor is not told by the runs."""


@dataclass(frozen=True, slots=True)
class RunsFit:
    """The profile with the fitted constants, the fit, and how the model says the runs: those it was fitted on, and
    those it was not (none: all were fitted on)."""

    profile: Profile
    fit: Fit
    fitted: tuple[SaidRun, ...]
    predicted: tuple[SaidRun, ...]


def fit_runs(
    runs: Sequence[MeasuredRun],
    profile: Profile,
    *,
    predict: Sequence[MeasuredRun] = (),
    guess: bool = True,
    front: bool = False,
    rounds: int = 12,
    on_round: Callable[[int, float], None] = lambda done, rms: None,
) -> RunsFit:
    """`profile` gives the structure (ranks, limits, transfer) and, unless `guess`, the constants to begin with; a guess
    has a `front_s` only with `front`, for it can hardly be told from `prefill_s` where steps are long.

    Its error becomes that of the predicted runs, or of the fitted ones where none is left out. Raises TooThin where the
    runs cannot tell the constants.
    """
    start = first_guess(runs, profile, front=front) if guess else profile.constants
    free = told_by(runs, profile, start)
    check_cover(runs, free)
    found = fit(
        lambda constants: [each for run in runs for each in say_run(run, profile, constants).residuals()],
        start,
        free,
        rounds=rounds,
        on_round=on_round,
    )
    found = replace(found, factors={name: _vague(factor) for name, factor in found.factors.items()})
    fitted = tuple(say_run(run, profile, found.constants) for run in runs)
    predicted = tuple(say_run(run, profile, found.constants) for run in predict)
    error = error_of(predicted or fitted)
    fitted_on = f"{len(runs)} runs over {levels(runs)} levels of load"
    known = replace(profile, constants=found.constants, factors=dict(found.factors), error=error, fitted_on=fitted_on)
    return RunsFit(known, found, fitted, predicted)


def _vague(factor: float) -> float:
    return factor if factor <= VAGUE else math.inf


def told_by(runs: Sequence[MeasuredRun], profile: Profile, start: StepConstants) -> tuple[str, ...]:
    """The constants that such runs may tell: `bs` only of ranks in lock step, `g` only where KV is handed over."""
    names = ["decode_s", "decode_per_seq_s", "prefill_s", "prefill_per_token_s", "front_s"]
    if profile.ranks > 1:
        names.append("prefill_per_token_of_all_s")
    if any("P" in run.layout for run in runs):
        names.append("landed_per_token_s")
    return tuple(name for name in names if getattr(start, name) > 0)


def check_cover(runs: Sequence[MeasuredRun], free: Sequence[str]) -> None:
    """Raises TooThin, naming all that is missing."""
    missing = []
    found = levels(runs)
    if found < 2:
        missing.append(f"{found} load level: what a sequence more costs shows only between two")
    figures = sum(len(run.measured) for run in runs)
    if figures <= len(free):
        missing.append(f"{figures} figures for {len(free)} constants")
    if not any(run.measured.get("itl_mean_s") for run in runs):
        missing.append("no inter-token latency: answers of more than one token, streamed")
    if missing:
        raise TooThin(
            f"the runs cover too little to fit to: {'; '.join(missing)}",
            hint="measure more loads: `pdctl bench run --concurrency 1,4,16,64`",
        )


def first_guess(runs: Sequence[MeasuredRun], profile: Profile, *, front: bool = False) -> StepConstants:
    """Where a fit begins, from the lightest and the heaviest load; constants that no guess covers are the profile's."""
    order = sorted(runs, key=lambda run: _per_rank(run, profile))
    light, heavy = order[0], order[-1]
    gaps = [run.measured["itl_mean_s"] for run in order if "itl_mean_s" in run.measured]
    firsts = [run.measured["ttft_median_s"] for run in order if "ttft_median_s" in run.measured]
    if not gaps or not firsts:
        return profile.constants
    least, isl = min(gaps), statistics.fmean(asked.isl for asked in light.workload.asked)
    more = max(0.5, _per_rank(heavy, profile) - _per_rank(light, profile))
    decode_s, prompt_s = 0.9 * least, min(firsts)
    return StepConstants(
        decode_s=decode_s,
        decode_per_seq_s=max(0.005 * decode_s, 0.5 * (gaps[-1] - gaps[0]) / more),
        decode_per_context_token_s=profile.constants.decode_per_context_token_s,
        prefill_s=0.3 * prompt_s,
        prefill_per_token_s=0.6 * prompt_s / isl,
        prefill_per_token_of_all_s=0.05 * prompt_s / isl if profile.ranks > 1 else 0.0,
        landed_per_token_s=0.02 * decode_s / isl if "P" in light.layout else 0.0,
        front_s=0.1 * prompt_s if front else 0.0,
    )


def _per_rank(run: MeasuredRun, profile: Profile) -> float:
    return run.in_flight / run.per_rank_instances / profile.ranks


def error_of(said: Sequence[SaidRun]) -> ModelError:
    """Mean absolute errors. Runs do not tell P99 ITL's and attainment's apart from the mean ITL's: that is taken."""
    means = mean_errors(said)
    e2el, tokens = means.get("e2el_median_s", math.inf), means.get("tokens_per_s", math.inf)
    itl = means.get("itl_mean_s", math.inf)
    return ModelError(e2el=e2el, tokens_per_s=tokens, itl_p99=itl, ratio=max(e2el, tokens), attainment=max(e2el, itl))


def mean_errors(said: Sequence[SaidRun]) -> Mapping[str, float]:
    """The mean absolute error of each figure, as a share."""
    errors: dict[str, list[float]] = {}
    for each in said:
        for name, error in each.errors().items():
            errors.setdefault(name, []).append(abs(error))
    return {name: statistics.fmean(all_of) for name, all_of in errors.items()}
