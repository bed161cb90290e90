"""What other projects' tools report, as rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pdctl.bench.drivers import aiperf_rows, guidellm_rows, vllm_serve_rows
from pdctl.bench.drivers.progress_line import finished_requests, last_words
from pdctl.bench.figures.doubts import doubts
from pdctl.bench.figures.figures import Criterion
from pdctl.bench.figures.spread import spread
from pdctl.bench.figures.verdict import met
from pdctl.bench.row import Row
from pdctl.errors import BenchError
from pdctl.model.deployment import Slo
from pdctl.model.outcome import Outcome
from pdctl.perf.workload import Asked
from tests.bench_rows import row
from tests.bench_tools import aiperf_record, guidellm_report, guidellm_request, point, vllm_result


def vllm_rows(*, exact: bool = True, **changes: Any) -> tuple[Row, ...]:
    result, _ = vllm_serve_rows.read_result(json.dumps(vllm_result(**changes)).encode())
    return vllm_serve_rows.rows_of(result, point(), exact=exact, prefix="p-")


def test_vllm_rows_have_every_figure_of_the_lists() -> None:
    first, second = vllm_rows()
    assert (first.request_id, first.index, first.outcome) == ("p-0", 0, Outcome.OK)
    assert (first.ttft_s, first.e2el_s, first.gaps_s) == (0.2, 0.33, (0.05, 0.07))
    assert first.tokens == 3 and first.prompt_tokens == 8
    assert first.at_s == 0.0 and first.queued_s == pytest.approx(0.1) and second.queued_s == pytest.approx(0.0)


def test_vllm_summary_is_kept_without_the_lists() -> None:
    _, raw = vllm_serve_rows.read_result(json.dumps(vllm_result()).encode())
    assert raw["output_throughput"] == 10.0
    assert not {"itls", "generated_texts", "errors", "start_times"} & set(raw)


def test_vllm_without_queue_times_and_latencies() -> None:
    changes: dict[str, Any] = {"queue_times": None, "latencies": None}
    first, second = vllm_rows(exact=False, **changes)
    assert first.e2el_s == pytest.approx(0.32) and second.e2el_s == pytest.approx(0.4)
    assert (first.at_s, first.queued_s) == pytest.approx((0.1, 0.0))


def test_an_abort_that_vllm_counts_as_a_success_is_none() -> None:
    cut, whole = vllm_rows(output_lens=[2, 3], itls=[[0.05], [0.05, 0.05]])
    assert (cut.outcome, cut.error) == (Outcome.CUT, "2 of 3 tokens")
    assert whole.outcome is Outcome.OK


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("Service Unavailable", Outcome.REFUSED),
        ("Traceback…\naiohttp.client_exceptions.ClientConnectorError: Cannot connect to host a:1", Outcome.REFUSED),
        ("Traceback…\naiohttp.client_exceptions.ServerDisconnectedError: Server disconnected", Outcome.CUT),
        ("Never received a valid chunk to calculate TTFT.This response will be marked as failed!", Outcome.CUT),
        ("Internal Server Error", Outcome.ERROR),
    ],
)
def test_vllm_failures(error: str, outcome: Outcome) -> None:
    failed, _ = vllm_rows(errors=[error, ""], output_lens=[0, 3], ttfts=[0.0, 0.3], itls=[[], [0.05, 0.05]])
    assert failed.outcome is outcome and failed.ttft_s is None and failed.tokens == 0
    assert (failed.refusal or failed.error) == error.splitlines()[-1]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "Invalid JSON"),
        (json.dumps({"duration": 1.0}).encode(), "input_lens: Field required"),
        (json.dumps(vllm_result(ttfts=[0.1])).encode(), "differ in length"),
    ],
)
def test_vllm_results_that_cannot_be_read(data: bytes, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        vllm_serve_rows.read_result(data)


def aiperf_rows_of(*records: dict[str, Any]) -> tuple[Row, ...]:
    data = "\n".join(json.dumps(record) for record in records).encode()
    return aiperf_rows.rows_of(aiperf_rows.read_records(data), point(Asked(0.0, 8, 3), Asked(0.1, 8, 3)))


def test_aiperf_rows_in_the_order_of_the_point() -> None:
    warm_up = aiperf_record(0)
    warm_up["metadata"] = warm_up["metadata"] | {"benchmark_phase": "warmup"}
    first, second = aiperf_rows_of(aiperf_record(1), aiperf_record(0), warm_up)
    assert (first.request_id, second.request_id) == ("x0", "x1")
    assert (first.ttft_s, first.e2el_s) == pytest.approx((0.2, 0.4))
    assert first.gaps_s == pytest.approx((0.09, 0.11))
    assert second.sent_s == pytest.approx(0.1, abs=1e-6) and second.queued_s == pytest.approx(0.0, abs=1e-6)
    assert first.tokens == 3 and first.prompt_tokens == 8 and first.ok


def test_aiperf_failures() -> None:
    error = {"type": "ClientConnectorError", "message": "Connect call failed", "code": None}
    full = {"type": "Too Many Requests", "message": "later", "code": 429}
    refused, busy = aiperf_rows_of(aiperf_record(0, metrics={}, error=error), aiperf_record(1, metrics={}, error=full))
    assert refused.outcome is Outcome.REFUSED and refused.ttft_s is None and refused.e2el_s == pytest.approx(0.4)
    assert (busy.outcome, busy.status) == (Outcome.REFUSED, 429)
    with pytest.raises(BenchError, match="no record of 1 of 2"):
        aiperf_rows_of(aiperf_record(0))
    with pytest.raises(BenchError, match="request_start_ns"):
        aiperf_rows_of({"metadata": {"conversation_id": "0"}, "metrics": {}})


def test_guidellm_rows_are_told_apart_by_when_they_were_due_and_by_length() -> None:
    asked = point(Asked(0.0, 8, 3), Asked(0.0, 9, 5), Asked(0.5, 8, 3))
    sent = [guidellm_request(100.5, 3, 2), guidellm_request(100.0, 5), guidellm_request(100.0, 3)]
    failed = guidellm_request(100.0, 5, 0, first_token_iteration=None, request_end=None)
    failed["info"]["error"] = "httpx.ConnectError: All connection attempts failed"
    report, raw = guidellm_rows.read_report(json.dumps(guidellm_report(sent)).encode())
    first, second, third = guidellm_rows.rows_of(report, asked, exact=True)
    assert [row.osl for row in (first, second, third)] == [3, 5, 3]
    assert first.ok and first.gaps_s == () and first.ttft_s == pytest.approx(0.2)
    assert first.tpot_s == pytest.approx(0.1) and first.queued_s == pytest.approx(0.01)
    assert (third.outcome, third.error) == (Outcome.CUT, "2 of 3 tokens")
    assert raw["benchmark"]["duration"] == 0.5 and "requests" not in raw["benchmark"]
    report, _ = guidellm_rows.read_report(json.dumps(guidellm_report([sent[0], sent[2]], [failed])).encode())
    assert guidellm_rows.rows_of(report, asked, exact=True)[1].outcome is Outcome.REFUSED
    report, _ = guidellm_rows.read_report(json.dumps(guidellm_report(sent[:2])).encode())
    with pytest.raises(BenchError, match="nothing of 1 of 3"):
        guidellm_rows.rows_of(report, asked, exact=True)


def test_what_a_tool_prints() -> None:
    bar = " 25%|██▌       | 3/12 [00:01<00:03,  2.9it/s]\n 50%|█████     | 6/12 [00:02<00:02,  3.0it/s]"
    assert finished_requests(bar) == (6, 12)
    assert finished_requests("Starting") is None
    said = f"{bar}\nTraceback (most recent call last):\n  File x\nValueError: no such model\n│ ╭──╮ │\nLog File: /tmp/x"
    assert last_words(said) == "ValueError: no such model"
    assert last_words("one\ntwo\n") == "one / two"


def test_without_single_gaps_a_request_is_judged_by_their_mean() -> None:
    slo = Slo(ttft_s=1.0, itl_s=0.05, attainment=0.9)
    slow, quick = (row(ttft_s=0.1, e2el_s=0.1 + 2 * gap_s, gaps_s=(), tokens=3) for gap_s in (0.06, 0.04))
    assert not met(slow, slo) and met(quick, slo)
    tpot = spread([0.06])
    assert doubts([slow], None, tpot, criterion=Criterion.P99_ITL)[0].endswith("judged by TPOT")
