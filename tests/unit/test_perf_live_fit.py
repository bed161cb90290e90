"""Constants from what engines export while they serve: found where windows cover several loads, refused where not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdctl.bench.live_samples import WINDOW_S, live_samples
from pdctl.errors import TooThin
from pdctl.model.deployment import Slo
from pdctl.model.figure import Fig, Figure, Latency
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.model.snapshot import (
    Flow,
    InstanceFigures,
    Latencies,
    Load,
    RouterFigures,
    Snapshot,
    Source,
    Vital,
    Window,
)
from pdctl.perf.live_fit import LiveSample, fit_live, told
from pdctl.perf.step_time import StepConstants

TRUTH = StepConstants(20e-3, 1e-3, 0.0, 30e-3, 50e-6, 0.0, 0.0)
NONE = Unknown("not exported")


def sample(running: float, isl: float, role: Role = Role.MIXED, truth: StepConstants = TRUTH) -> LiveSample:
    """A window as an engine of those constants would export it."""
    blank = LiveSample("i", role, running, 0.4, isl, isl, isl, 40, 1.0, 1.0)
    if role is Role.DECODE:
        blank = replace(blank, prefill_s=None)
    itl_s, prefill_s = told(blank, truth)
    return replace(blank, itl_s=itl_s, prefill_s=prefill_s)


SAMPLES = [sample(running, isl) for running in (1.0, 4.0, 9.0, 16.0) for isl in (200.0, 2000.0)]


def test_constants_are_found_from_windows_at_several_loads() -> None:
    found = fit_live(SAMPLES)
    assert found.constants.decode_s == pytest.approx(TRUTH.decode_s, rel=0.02)
    assert found.constants.decode_per_seq_s == pytest.approx(TRUTH.decode_per_seq_s, rel=0.05)
    assert found.constants.prefill_s == pytest.approx(TRUTH.prefill_s, rel=0.05)
    assert found.constants.prefill_per_token_s == pytest.approx(TRUTH.prefill_per_token_s, rel=0.02)
    assert not found.untold


def test_prompts_of_one_length_do_not_tell_what_a_token_costs() -> None:
    found = fit_live([sample(running, 500.0) for running in (1.0, 2.0, 4.0, 8.0, 12.0, 16.0)])
    assert {"prefill_s", "prefill_per_token_s"} <= set(found.untold)
    assert "decode_s" not in found.untold


@pytest.mark.parametrize(
    ("samples", "missing"),
    [
        (SAMPLES[:3], "3 windows with tokens"),
        ([sample(4.0, 500.0)] * 8, "one load level"),
        ([replace(one, requests=1.0) for one in SAMPLES], "8 prompts"),
        ([replace(one, prefill_s=None) for one in SAMPLES], "no prefill times"),
    ],
)
def test_too_little_is_refused_by_what_is_missing(samples: list[LiveSample], missing: str) -> None:
    with pytest.raises(TooThin, match=missing):
        fit_live(samples)


def exact(value: float) -> Figure:
    return Figure.exact(value, 0.0)


def mean(value: float) -> Latency:
    return Latency(exact(40), exact(value), NONE, NONE, NONE)


def snapshot(taken_s: float, *, running: float = 3.0, waiting: float = 0.0, vital: Vital = Vital.UP) -> Snapshot:
    """One mixed instance of one rank: 2 prompts a second of 500 tokens, 100 tokens out each."""
    flow = Flow(exact(2.0), exact(1000.0), exact(200.0), exact(50.0), exact(0.0), NONE, {})
    other = Latency.unknown("not asked")
    window = Window(10.0, flow, Latencies(other, mean(0.02), other, other, mean(0.06), other, other))
    load = Load(exact(running), exact(waiting), exact(0.0), exact(0.1))
    one = InstanceFigures("m.0", "n", "m", "p", Role.MIXED, 1, vital, True, "", 0.0, load, {WINDOW_S: window}, {})
    unknown: Fig = NONE
    router = RouterFigures(Vital.UP, "", unknown, {}, unknown, unknown, {}, None)
    return Snapshot("c", 1, taken_s, Source.LIVE, 1.0, Slo(1, 1, 1), {"m.0": one}, {}, {}, router, {})


def test_windows_that_do_not_overlap_become_samples() -> None:
    ticks = [snapshot(float(at), running=2.0 + at % 3) for at in range(24)]
    found = live_samples(ticks)
    assert len(found) == 2
    one = found[0]
    assert (one.instance, one.role, one.isl, one.context) == ("m.0", Role.MIXED, 500.0, 550.0)
    assert (one.itl_s, one.prefill_s, one.requests) == (0.02, 0.06, 20.0)
    assert 2.0 < one.running < 4.0


@pytest.mark.parametrize("ticks", [{"waiting": 3.0}, {"vital": Vital.STALE}])
def test_a_window_of_queues_or_of_an_engine_that_is_not_heard_is_no_sample(ticks: dict[str, object]) -> None:
    assert not live_samples([snapshot(float(at), **ticks) for at in range(12)])  # type: ignore[arg-type]


def test_only_the_instances_that_were_asked_for_are_taken() -> None:
    assert not live_samples([snapshot(float(at)) for at in range(12)], ["other"])
