"""`vllm bench serve` sends at moments that can be told beforehand."""

from __future__ import annotations

import math

import pytest

from pdctl.perf.vllm_arrivals import legacy_generator, offers_s, vllm_bench


def test_the_generator_is_the_one_that_numpy_seeds_with_0() -> None:
    dice = legacy_generator(0)  # numpy.random.seed(0); numpy.random.rand(3)
    drawn = [dice.random() for _ in range(3)]
    assert drawn == pytest.approx([0.5488135039273248, 0.7151893663724195, 0.6027633760716439], abs=0)


def test_gaps_are_exponential_and_the_last_request_goes_at_requests_over_rate() -> None:
    moments = offers_s(4, 2.0)
    assert moments[-1] == pytest.approx(2.0)
    drawn = [0.5488135039273248, 0.7151893663724195, 0.6027633760716439, 0.5448831829968969]
    gaps = [-math.log(1 - each) for each in drawn]
    assert moments[0] == pytest.approx(2.0 * gaps[0] / sum(gaps))


def test_two_rates_see_the_same_arrivals_but_for_their_scale() -> None:
    slow, fast = vllm_bench(100, 0.5, 2000, 1000), vllm_bench(100, 8.0, 2000, 1000)
    assert [each.at_s / 16 for each in slow.asked] == pytest.approx([each.at_s for each in fast.asked])
