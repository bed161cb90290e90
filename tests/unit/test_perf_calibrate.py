"""Calibration finds constants again that made the figures, and says which of them the figures do not tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pdctl.perf.calibrate import fit
from pdctl.perf.minimize import minimize
from pdctl.perf.outcome import figures
from pdctl.perf.published import mori_layout, mori_rows, r1_layout, r1_rows
from pdctl.perf.simulate import simulate
from pdctl.perf.step_time import StepConstants
from pdctl.perf.workload import poisson
from tests.unit.perf_scenes import ROUND, mixed

LOADS = [poisson(20, rate, isl, osl, seed=4) for rate, isl, osl in ((2.0, 100, 50), (6.0, 400, 30), (9.0, 50, 90))]


def measured(constants: StepConstants) -> list[float]:
    runs = [figures(simulate(mixed(constants=constants), load)) for load in LOADS]
    return [figure for run in runs for figure in (run.e2el_median_s, run.tokens_per_s, run.ttft_median_s)]


def against(truth: Sequence[float], constants: StepConstants) -> list[float]:
    return [math.log(one / other) for one, other in zip(measured(constants), truth, strict=True)]


def test_the_least_point_of_a_bowl_is_found() -> None:
    found = minimize(lambda p: (p[0] - 3) ** 2 + 10 * (p[1] + 1) ** 2, [0.0, 0.0], [1.0, 1.0])
    assert found == pytest.approx([3.0, -1.0], abs=1e-3)


def test_constants_are_found_again_from_the_figures_they_made() -> None:
    truth = measured(ROUND)
    start = replace(ROUND, decode_s=16e-3, prefill_s=70e-3, prefill_per_token_s=1.4e-3)
    found = fit(lambda constants: against(truth, constants), start, ["decode_s", "prefill_s", "prefill_per_token_s"])
    assert found.constants.decode_s == pytest.approx(ROUND.decode_s, rel=0.05)
    assert found.constants.prefill_s == pytest.approx(ROUND.prefill_s, rel=0.05)
    assert found.constants.prefill_per_token_s == pytest.approx(ROUND.prefill_per_token_s, rel=0.05)
    assert found.rms < 0.01
    assert found.figures == len(truth)


def test_a_constant_that_the_runs_do_not_tell_has_no_bounds() -> None:
    start = replace(ROUND, landed_per_token_s=1e-6)  # nothing lands on a mixed engine
    truth = measured(ROUND)
    found = fit(lambda constants: against(truth, constants), start, ["decode_s", "landed_per_token_s"], rounds=2)
    assert math.isinf(found.factors["landed_per_token_s"])


def test_a_constant_that_starts_at_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        fit(lambda constants: [], ROUND, ["landed_per_token_s"])


def test_every_published_row_can_be_laid_out() -> None:
    assert {r1_layout(row.layout, ROUND).words for row in r1_rows()} == {"5M", "2P3D", "1P4D"}
    assert {mori_layout(row, ROUND, 0.0).words for row in mori_rows()} == {"2M", "1P1D"}
    assert len(r1_rows()) == 30
    assert sum(1 for row in r1_rows() if row.itl_p99_s is not None) == 12
