"""A fit to measured runs finds what made them, predicts loads that it has not seen, and refuses too few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pdctl.errors import TooThin
from pdctl.model.deployment import Parallel
from pdctl.perf.measured import FIGURES, MeasuredRun, halves, levels, median_of_repeats, say_run
from pdctl.perf.measured_fit import first_guess, fit_runs, told_by
from pdctl.perf.outcome import figures
from pdctl.perf.profile import Profile, roles_of
from pdctl.perf.simulate import simulate
from pdctl.perf.workload import poisson
from tests.unit.perf_scenes import ROUND

PROFILE = Profile("p", "cpu", "m", Parallel(), ROUND, "here")


def run(concurrency: int, isl: int = 200, *, layout: str = "1M", seed: int = 0) -> MeasuredRun:
    offered = poisson(40, 100.0, isl, 30, seed=seed, concurrency=concurrency)
    found = figures(simulate(PROFILE.layout(layout), offered))
    in_flight = found.e2el_median_s * 40 / found.duration_s
    measured = {name: getattr(found, name) for name in FIGURES}
    return MeasuredRun(f"c{concurrency}/{isl}/s{seed}", f"c{concurrency}/{isl}", layout, offered, measured, in_flight)


RUNS = [run(concurrency, isl) for concurrency in (1, 2, 4, 8) for isl in (100, 400)]


def test_constants_that_made_the_runs_are_found_from_a_guess() -> None:
    found = fit_runs(RUNS, replace(PROFILE, constants=replace(ROUND, decode_s=1.0)))
    assert found.profile.constants.decode_s == pytest.approx(ROUND.decode_s, rel=0.15)
    assert found.profile.constants.prefill_per_token_s == pytest.approx(ROUND.prefill_per_token_s, rel=0.1)
    assert found.profile.error.e2el < 0.03
    assert found.profile.fitted_on == "8 runs over 4 levels of load"


def test_half_of_the_loads_predict_the_others() -> None:
    fitted, rest = halves(RUNS)
    found = fit_runs(fitted, PROFILE, predict=rest)
    assert {each.run.name for each in found.predicted} == {each.name for each in rest}
    assert max(abs(each.errors()["e2el_median_s"]) for each in found.predicted) < 0.1


def test_repeats_of_a_load_stay_in_one_half() -> None:
    runs = [run(concurrency, seed=seed) for concurrency in (1, 4, 8) for seed in (0, 1)]
    fitted, rest = halves(runs)
    assert {each.load for each in fitted}.isdisjoint({each.load for each in rest})
    assert len(fitted) + len(rest) == len(runs)


def test_one_repeat_that_was_disturbed_does_not_count() -> None:
    """Three seeds of an open load, of which one took twice as long."""
    repeats = [run(40, seed=seed) for seed in range(3)]
    slow = replace(repeats[1], measured={name: 2 * value for name, value in repeats[1].measured.items()})
    [whole], [disturbed] = median_of_repeats(repeats), median_of_repeats([repeats[0], slow, repeats[2]])
    assert disturbed.measured["itl_mean_s"] == pytest.approx(whole.measured["itl_mean_s"], rel=0.05)
    assert max(abs(error) for error in say_run(disturbed, PROFILE).errors().values()) < 0.1
    assert median_of_repeats(RUNS) == tuple(RUNS)


@pytest.mark.parametrize(
    ("runs", "missing"),
    [
        ([RUNS[0]], "1 load level"),
        ([replace(RUNS[0], measured={"tokens_per_s": 1.0})], "1 figures for 4 constants"),
        ([replace(one, measured={"e2el_median_s": 1.0, "ttft_median_s": 1.0}) for one in RUNS], "no inter-token"),
    ],
)
def test_too_few_runs_are_refused_by_what_they_lack(runs: Sequence[MeasuredRun], missing: str) -> None:
    with pytest.raises(TooThin, match=missing):
        fit_runs(runs, PROFILE, guess=False)


def test_what_the_runs_do_not_tell_has_an_infinite_error_bar() -> None:
    """A server of one request at a time never shows what a sequence more costs: only d + e."""
    found = fit_runs([run(1, 100), replace(run(1, 400), in_flight=2.0)], PROFILE)
    assert found.fit.untold == ("decode_s", "decode_per_seq_s")


def test_only_a_split_tells_what_landing_kv_costs() -> None:
    guess = first_guess([run(2, layout="1P1D")], PROFILE)
    assert "landed_per_token_s" in told_by([run(2, layout="1P1D")], PROFILE, guess)
    assert "landed_per_token_s" not in told_by(RUNS, PROFILE, guess)
    assert "prefill_per_token_of_all_s" not in told_by(RUNS, PROFILE, guess)


def test_levels_are_loads_that_differ_by_a_quarter() -> None:
    assert levels([replace(RUNS[0], in_flight=busy) for busy in (1.0, 1.1, 1.2, 1.6, 4.0)]) == 3


def test_what_the_model_says_of_its_own_run_is_that_run() -> None:
    assert max(abs(error) for error in say_run(RUNS[0], PROFILE).errors().values()) < 1e-6


@pytest.mark.parametrize("words", ["", "5", "2P", "P3D", "2D3P", "M", "1M1M", "1P2"])
def test_other_words_are_no_layout(words: str) -> None:
    with pytest.raises(ValueError, match="no layout"):
        roles_of(words)
