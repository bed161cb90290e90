"""What a fit to measured runs came to, as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pdctl.cli.advise.constants_text import constants
from pdctl.perf.measured import FIGURES, SaidRun
from pdctl.perf.measured_fit import RunsFit, mean_errors
from pdctl.perf.profile import Profile
from pdctl.perf.step_time import StepConstants
from pdctl.text.escape import one_line

_NAMES = {"ttft_median_s": "TTFT", "itl_mean_s": "ITL", "e2el_median_s": "E2EL", "tokens_per_s": "TPS"}


def lines(found: RunsFit, left_out: Sequence[str], saved: Path | None) -> Iterator[str]:
    """Constants, every load's error, their means."""
    yield from constants(found.profile)
    yield ""
    heads = "".join(f"{_NAMES[name]:>9}" for name in FIGURES)
    yield f"error of what the model says, %{heads}"
    for each in found.fitted:
        yield f"  fitted     {_row(each)}"
    for each in found.predicted:
        yield f"  predicted  {_row(each)}"
    yield ""
    yield f"mean absolute error of the fitted loads:    {_means(found.fitted)}"
    if found.predicted:
        yield f"mean absolute error of the predicted loads: {_means(found.predicted)}"
    if found.fit.untold:
        yield f"not told by these runs: {', '.join(found.fit.untold)}"
    for why in left_out:
        yield f"left out: {one_line(why)}"
    if saved is not None:
        yield f"saved: {saved}"


def _row(each: SaidRun) -> str:
    errors = each.errors()
    cells = "".join(f"{100 * errors[name]:+9.1f}" if name in errors else f"{'-':>9}" for name in FIGURES)
    return f"{one_line(each.run.load):20.20}{cells}  ({each.run.in_flight:.1f} in flight)"


def _means(said: Sequence[SaidRun]) -> str:
    worst = {name: max(abs(each.errors().get(name, 0.0)) for each in said) for name in FIGURES}
    means = mean_errors(said).items()
    return ", ".join(f"{_NAMES[name]} {100 * error:.1f} % (max {100 * worst[name]:.0f})" for name, error in means)


def as_json(found: RunsFit, left_out: Sequence[str], saved: Path | None) -> dict[str, Any]:
    """Errors as shares; an error bar of null: the runs do not tell that constant."""
    return {
        "profile": found.profile.name,
        "constants": {name: getattr(found.profile.constants, name) for name in StepConstants.__slots__},
        "factors": as_factors(found.profile),
        "not_told": list(found.fit.untold),
        "rms": found.fit.rms,
        "fitted": [_load(each) for each in found.fitted],
        "predicted": [_load(each) for each in found.predicted],
        "mean_error": {"fitted": dict(mean_errors(found.fitted)), "predicted": dict(mean_errors(found.predicted))},
        "left_out": list(left_out),
        "saved": None if saved is None else str(saved),
    }


def _load(each: SaidRun) -> dict[str, Any]:
    run = each.run
    return {
        "name": run.name,
        "layout": run.layout,
        "in_flight": run.in_flight,
        "measured": dict(run.measured),
        "said": {name: each.said[name] for name in run.measured},
        "error": each.errors(),
    }


def as_factors(profile: Profile) -> dict[str, float | None]:
    """Error bars for JSON, which has no infinity."""
    return {name: one if math.isfinite(one) else None for name, one in profile.factors.items()}
