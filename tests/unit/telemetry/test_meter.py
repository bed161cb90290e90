"""A target's history: rates over windows, over restarts, DP ranks, renamed and changed families."""

from __future__ import annotations

import pytest

from pdctl.telemetry.families import ENGINE_FAMILIES
from pdctl.telemetry.meter import Meter, Tally, merge_tallies
from pdctl.telemetry.scan import Scanner
from tests.unit.telemetry.scrapes import NAMES, counter, histogram

BOUNDS = (0.1, 0.5, 1.0)


class Target:
    """A meter and the scanner that feeds it."""

    def __init__(self) -> None:
        self.meter = Meter(ENGINE_FAMILIES)
        self.scanner = Scanner(NAMES)

    def scrape(self, at_s: float, text: str) -> bool:
        return self.meter.feed(at_s, self.scanner.scan(text))

    def tally(self, window_s: float = 10.0) -> Tally:
        tally = self.meter.tally(window_s)
        assert tally is not None
        return tally


def test_one_scrape_is_no_rate() -> None:
    target = Target()
    target.scrape(0.0, counter("generation_tokens_total", 1000))
    assert target.meter.tally(10.0) is None


def test_a_rate_is_taken_over_the_window_and_not_over_the_whole_history() -> None:
    target = Target()
    for second in range(61):
        target.scrape(float(second), counter("generation_tokens_total", 100 * second if second < 50 else 5000))
    assert target.tally(10.0).rate("tokens_out") == pytest.approx(0.0)
    assert target.tally(60.0).rate("tokens_out") == pytest.approx(5000 / 60)


def test_windows_of_minutes_stay_right_while_checkpoints_are_thinned() -> None:
    target = Target()
    for second in range(1000):
        target.scrape(float(second), counter("generation_tokens_total", second * second))
    for window_s in (10.0, 60.0, 300.0):
        tally = target.tally(window_s)
        start = 999 - tally.elapsed_s
        assert abs(tally.elapsed_s - window_s) <= 5.0
        assert tally.rate("tokens_out") == pytest.approx((999**2 - start**2) / tally.elapsed_s)


def test_memory_is_bounded_by_the_longest_window() -> None:
    target = Target()
    for second in range(20_000):
        target.meter.feed(float(second), target.scanner.scan(counter("generation_tokens_total", second)))
    assert len(target.meter._history) < 100


def test_an_engine_that_restarts_gives_no_negative_rate() -> None:
    target = Target()
    for second, value in enumerate((1000, 1100, 1200, 50, 150)):
        target.scrape(float(second), counter("generation_tokens_total", value))
    assert target.tally().counters["tokens_out", ""] == pytest.approx(100 + 100 + 50 + 100)
    assert target.meter.restarts == 1


def test_a_cut_scrape_is_not_taken_for_a_restart() -> None:
    target = Target()
    whole = counter("generation_tokens_total", 1000) + counter("prompt_tokens_total", 10)
    target.scrape(0.0, whole)
    assert not target.scrape(1.0, whole[:-20])
    target.scrape(2.0, counter("generation_tokens_total", 1200) + counter("prompt_tokens_total", 10))
    assert target.tally().rate("tokens_out") == pytest.approx(100.0)


def test_ranks_of_one_process_are_added_and_the_fullest_is_shown() -> None:
    target = Target()
    for second in (0, 1):
        text = ""
        for rank in "01":
            text += counter("generation_tokens_total", 100 * second * (1 + int(rank)), engine=rank)
            text += counter("num_requests_running", 2, engine=rank)
            text += counter("kv_cache_usage_perc", 0.2 + 0.5 * int(rank), engine=rank)
        target.scrape(float(second), text)
    assert target.tally().rate("tokens_out") == pytest.approx(300.0)
    assert target.meter.gauges["running", ""] == 4
    assert target.meter.gauges["kv_usage", ""] == pytest.approx(0.7)


def test_old_and_new_names_side_by_side_are_counted_once() -> None:
    """vLLM 0.11 exports ITL under two names, with the same data."""
    target = Target()
    for second, events in enumerate(([], [0.2, 0.3])):
        target.scrape(
            float(second),
            histogram("time_per_output_token_seconds", events, BOUNDS)
            + histogram("inter_token_latency_seconds", events, BOUNDS),
        )
    assert target.tally().histograms["itl"].count == 2


def test_the_only_name_of_vllm_0_10_is_understood() -> None:
    target = Target()
    for second, events in enumerate(([], [0.2])):
        target.scrape(
            float(second),
            histogram("time_per_output_token_seconds", events, BOUNDS) + counter("gpu_cache_usage_perc", 0.5),
        )
    assert target.tally().histograms["itl"].count == 1
    assert target.meter.gauges["kv_usage", ""] == 0.5


def test_a_series_that_appears_later_rose_from_zero() -> None:
    target = Target()
    ok = counter("request_success_total", 5, finished_reason="stop")
    target.scrape(0.0, ok)
    target.scrape(1.0, ok)
    target.scrape(2.0, ok + counter("request_success_total", 4, finished_reason="abort"))
    assert target.tally().rates("finished") == {"stop": 0.0, "abort": 2.0}


def test_a_scanner_that_begins_anew_gives_no_jump() -> None:
    """After a lost connection the same series are read by another scanner."""
    target = Target()
    for second in range(6):
        if second == 3:
            target.scanner = Scanner(NAMES)
        target.scrape(float(second), counter("generation_tokens_total", 1e6 + 100 * second))
    assert target.tally().rate("tokens_out") == pytest.approx(100.0)


def test_a_series_that_is_not_shown_for_a_while_does_not_rise_from_zero_again() -> None:
    target = Target()
    whole = counter("prompt_tokens_total", 1) + counter("generation_tokens_total", 1000)
    for second, text in enumerate((whole, counter("prompt_tokens_total", 1), whole)):
        target.scrape(float(second), text)
    assert target.tally().counters["tokens_out", ""] == 0.0


def test_after_a_boot_of_the_node_its_clock_begins_anew_and_so_does_the_history() -> None:
    target = Target()
    target.scrape(9000.0, counter("generation_tokens_total", 500))
    for second in (20, 21):
        assert target.scrape(float(second), counter("generation_tokens_total", 10 * second))
    assert target.tally().rate("tokens_out") == pytest.approx(10.0)


def test_an_infinite_value_adds_nothing_and_spoils_nothing() -> None:
    target = Target()
    for second, value in enumerate((100.0, float("inf"), float("inf"), 300.0)):
        target.scrape(float(second), counter("generation_tokens_total", value))
    assert target.tally().counters["tokens_out", ""] == pytest.approx(200.0)


def test_changed_buckets_begin_a_new_history() -> None:
    target = Target()
    target.scrape(0.0, histogram("time_to_first_token_seconds", [0.2], BOUNDS))
    target.scrape(1.0, histogram("time_to_first_token_seconds", [0.2, 0.2], (0.1, 0.3, 1.0)))
    assert target.meter.tally(10.0) is None
    target.scrape(2.0, histogram("time_to_first_token_seconds", [0.2, 0.2, 0.2], (0.1, 0.3, 1.0)))
    assert target.tally().histograms["ttft"].count == 1


def test_a_value_that_is_no_number_adds_nothing() -> None:
    target = Target()
    for second, value in enumerate((100.0, float("nan"), 300.0)):
        target.scrape(float(second), counter("generation_tokens_total", value))
    assert target.tally().counters["tokens_out", ""] == pytest.approx(200.0)


def test_merged_tallies_add_rates_of_targets_scraped_at_different_times() -> None:
    slow, fast = Target(), Target()
    for second in (0, 8):
        slow.scrape(float(second), counter("generation_tokens_total", 10 * second))
    for second in (0, 4):
        fast.scrape(float(second), counter("generation_tokens_total", 30 * second))
    merged = merge_tallies([slow.tally(), fast.tally()])
    assert merged is not None
    assert merged.rate("tokens_out") == pytest.approx(40.0)
