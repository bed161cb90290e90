"""A target's history: rates over windows, over restarts, DP ranks, renamed and changed families."""

from __future__ import annotations

import pytest

from pdctl.model.figure import Figure
from pdctl.model.reading import Unknown
from pdctl.telemetry.families import ENGINE_FAMILIES
from pdctl.telemetry.figures import load, window
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


def test_a_value_that_is_no_number_beside_others_that_rise_adds_nothing() -> None:
    """Every comparison with it is false: neither the smallest nor the largest of all rises need be it."""
    target = Target()
    for second, value in enumerate((0.0, float("nan"), 300.0, 400.0)):
        text = counter("prompt_tokens_total", 10.0 * second) + counter("generation_tokens_total", value)
        target.scrape(float(second), text + counter("num_preemptions_total", second))
    assert target.tally().counters["tokens_out", ""] == pytest.approx(400.0)
    assert target.tally().counters["tokens_in", ""] == pytest.approx(30.0)


def test_merged_tallies_add_rates_of_targets_scraped_at_different_times() -> None:
    slow, fast = Target(), Target()
    for second in (0, 8):
        slow.scrape(float(second), counter("generation_tokens_total", 10 * second))
    for second in (0, 4):
        fast.scrape(float(second), counter("generation_tokens_total", 30 * second))
    merged = merge_tallies([slow.tally(), fast.tally()])
    assert merged is not None
    assert merged.rate("tokens_out") == pytest.approx(40.0)


SGLANG = """\
sglang:num_running_reqs{{model_name="tiny",tp_rank="0"}} {running}
sglang:num_queue_reqs{{model_name="tiny",tp_rank="0"}} 3.0
sglang:num_decode_transfer_queue_reqs{{model_name="tiny",tp_rank="0"}} 2.0
sglang:num_decode_prealloc_queue_reqs{{model_name="tiny",tp_rank="0"}} 1.0
sglang:token_usage{{model_name="tiny",tp_rank="0"}} 0.28
sglang:gen_throughput{{model_name="tiny",tp_rank="0"}} 86.5
sglang:prompt_tokens_total{{model_name="tiny"}} {tokens_in}
sglang:generation_tokens_total{{model_name="tiny"}} {tokens_out}
sglang:num_requests_total{{model_name="tiny"}} {requests}
sglang:time_to_first_token_seconds_bucket{{le="0.1",model_name="tiny"}} 0.0
sglang:time_to_first_token_seconds_bucket{{le="0.25",model_name="tiny"}} {requests}
sglang:time_to_first_token_seconds_bucket{{le="+Inf",model_name="tiny"}} {requests}
sglang:time_to_first_token_seconds_sum{{model_name="tiny"}} {ttft}
sglang:time_to_first_token_seconds_count{{model_name="tiny"}} {requests}
sglang:kv_transfer_latency_ms_bucket{{le="10.0",model_name="tiny"}} {requests}
sglang:kv_transfer_latency_ms_bucket{{le="+Inf",model_name="tiny"}} {requests}
sglang:kv_transfer_latency_ms_sum{{model_name="tiny"}} {moved_ms}
sglang:kv_transfer_latency_ms_count{{model_name="tiny"}} {requests}
"""


def test_sglang_is_read_by_its_own_names_and_in_its_own_units() -> None:
    target = Target()
    for second in (0, 10):
        requests = 4 * second
        target.scrape(
            float(second),
            SGLANG.format(
                running=5,
                tokens_in=1000 * second,
                tokens_out=100 * second,
                requests=requests,
                ttft=0.2 * requests,
                moved_ms=8.0 * requests,
            ),
        )
    recent = window(target.tally(), age_s=0.0)
    assert recent.flow.tokens_in == Figure.exact(1000.0, 0.0)
    assert recent.flow.tokens_out == Figure.exact(100.0, 0.0)
    assert recent.flow.requests == Figure.exact(4.0, 0.0)
    assert recent.latencies.ttft.p99 == Figure(0.1, 0.25, 0.0)
    assert isinstance(recent.flow.steps, Unknown), "it counts none: nobody is called hung for that"
    now = load(target.meter.gauges, age_s=0.0)
    assert (now.running, now.waiting, now.deferred) == tuple(Figure.exact(value, 0.0) for value in (5.0, 3.0, 3.0))
    assert now.kv_usage == Figure.exact(0.28, 0.0)
    moved = target.tally().histograms["xfer_time"]
    assert moved.bounds == (0.01, float("inf"))
    assert moved.total / moved.count == pytest.approx(0.008), "milliseconds there, seconds here"


VLLM_0_10 = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="tiny"}} 2.0
vllm:num_requests_running{{engine="1",model_name="tiny"}} 3.0
vllm:num_requests_waiting{{engine="0",model_name="tiny"}} 1.0
vllm:num_requests_waiting{{engine="1",model_name="tiny"}} 0.0
vllm:gpu_cache_usage_perc{{engine="0",model_name="tiny"}} 0.5
vllm:gpu_cache_usage_perc{{engine="1",model_name="tiny"}} 0.25
vllm:gpu_prefix_cache_queries_total{{engine="0",model_name="tiny"}} {queries}
vllm:gpu_prefix_cache_queries_created{{engine="0",model_name="tiny"}} 1.7e+09
vllm:gpu_prefix_cache_hits_total{{engine="0",model_name="tiny"}} {hits}
vllm:generation_tokens_total{{engine="0",model_name="tiny"}} {tokens}
vllm:generation_tokens_created{{engine="0",model_name="tiny"}} 1.7e+09
vllm:generation_tokens_total{{engine="1",model_name="tiny"}} {tokens}
vllm:time_per_output_token_seconds_bucket{{engine="0",le="0.05",model_name="tiny"}} {gaps}
vllm:time_per_output_token_seconds_bucket{{engine="0",le="+Inf",model_name="tiny"}} {gaps}
vllm:time_per_output_token_seconds_count{{engine="0",model_name="tiny"}} {gaps}
vllm:time_per_output_token_seconds_sum{{engine="0",model_name="tiny"}} {spent}
vllm:request_success_total{{engine="0",finished_reason="stop",model_name="tiny"}} {gaps}
vllm:request_success_total{{engine="1",finished_reason="abort",model_name="tiny"}} {aborted}
"""


def test_vllm_0_10_with_two_ranks_is_read_by_the_names_that_it_had() -> None:
    target = Target()
    for second in (0, 10):
        target.scrape(
            float(second),
            VLLM_0_10.format(
                queries=100 * second,
                hits=25 * second,
                tokens=40 * second,
                gaps=20 * second,
                spent=second,
                aborted=second,
            ),
        )
    recent, now = window(target.tally(), age_s=0.0), load(target.meter.gauges, age_s=0.0)
    assert recent.flow.tokens_out == Figure.exact(80.0, 0.0)
    assert recent.flow.errors == {"abort": Figure.exact(1.0, 0.0)}
    assert isinstance(recent.flow.prefix_hit_share, Figure)
    assert recent.flow.prefix_hit_share.low == 0.25
    assert recent.latencies.itl.mean == Figure.exact(0.05, 0.0)
    assert (now.running, now.waiting, now.kv_usage) == tuple(Figure.exact(value, 0.0) for value in (5.0, 1.0, 0.5))
    assert isinstance(now.deferred, Unknown), "0.10 does not tell why requests wait"
