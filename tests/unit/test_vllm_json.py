"""Our figures in the JSON of `vllm bench serve`: held against its definitions and a file of its own; and reading it."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.figures.measure import figures
from pdctl.bench.figures.tool_result import read_tool_results
from pdctl.bench.figures.vllm_json import Told, vllm_json
from pdctl.bench.row import Row
from pdctl.errors import BenchError
from pdctl.model.deployment import Slo
from pdctl.model.outcome import Outcome
from tests import tool_outputs
from tests.bench_rows import row

TOLD = Told(datetime(2026, 6, 16, 19, 58, 45), "vllm", "m/model", max_concurrency=256)
SLO = Slo(ttft_s=0.5, itl_s=0.05, attainment=0.9)


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    made = []
    for index in range(draw(st.integers(1, 12))):
        first_s = draw(st.floats(0.01, 1.0))
        gaps_s = tuple(draw(st.lists(st.floats(0.001, 0.5), max_size=8)))
        tokens = len(gaps_s) + 1 + draw(st.integers(0, 3))
        sent_s = draw(st.floats(0.0, 5.0))
        outcome = draw(st.sampled_from([Outcome.OK, Outcome.OK, Outcome.OK, *Outcome]))
        made.append(
            row(
                index,
                at_s=0.0,
                sent_s=sent_s,
                ttft_s=first_s,
                gaps_s=gaps_s,
                e2el_s=first_s + sum(gaps_s),
                tokens=tokens,
                prompt_tokens=draw(st.none() | st.integers(1, 20)),
                outcome=outcome,
            )
        )
    return made


def by_definition(seen: Sequence[Row], took_s: float) -> dict[str, float]:
    """What the tool's documentation says of its figures, computed the long way."""
    ok = [each for each in seen if each.outcome == "ok"]
    tokens = [each.tokens for each in ok]
    prompts = [each.prompt_tokens if each.prompt_tokens is not None else each.isl for each in ok]
    paces = [(each.e2el_s - each.ttft_s) / (each.tokens - 1) if each.tokens > 1 else 0.0 for each in ok]  # type: ignore[operator]
    good = [1 for each, pace in zip(ok, paces, strict=True) if (each.ttft_s or 0) <= 0.5 and pace <= 0.05]
    said = {
        "duration": took_s,
        "completed": len(ok),
        "failed": len(seen) - len(ok),
        "total_input_tokens": sum(prompts),
        "total_output_tokens": sum(tokens),
        "request_throughput": len(ok) / took_s,
        "request_goodput": len(good) / took_s,
        "output_throughput": sum(tokens) / took_s,
        "total_token_throughput": (sum(prompts) + sum(tokens)) / took_s,
    }
    samples = {
        "ttft": [each.ttft_s or 0.0 for each in ok],
        "tpot": [pace for each, pace in zip(ok, paces, strict=True) if each.tokens > 1],
        "itl": [gap for each in ok for gap in each.gaps_s],
        "e2el": [each.e2el_s for each in ok],
    }
    for name, values in samples.items():
        kept = values or [0.0]
        said[f"mean_{name}_ms"] = 1000 * statistics.fmean(kept)
        said[f"median_{name}_ms"] = 1000 * statistics.median(kept)
        said[f"std_{name}_ms"] = 1000 * statistics.pstdev(kept)
        said[f"p99_{name}_ms"] = 1000 * naive_percentile(kept, 99)
        said[f"p99.9_{name}_ms"] = 1000 * naive_percentile(kept, 99.9)
    begin = min((each.sent_s for each in ok), default=0.0)
    seconds = [0] * 40
    crowd = [0] * 40
    for each in ok:
        moments = [each.sent_s + (each.ttft_s or 0.0)]
        for gap in each.gaps_s:
            moments.append(moments[-1] + gap)
        for moment in moments:
            seconds[int(moment - begin)] += 1
        for second in range(40):
            if int(each.sent_s - begin) <= second <= int(each.sent_s + each.e2el_s - begin):
                crowd[second] += 1
    return said | {"max_output_tokens_per_s": max(seconds), "max_concurrent_requests": max(crowd)}


def naive_percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


@given(rows(), st.floats(0.5, 20.0))
def test_every_field_is_what_the_tool_defines(seen: list[Row], took_s: float) -> None:
    said = vllm_json(seen, took_s, TOLD, slo=SLO, percentiles=(99, 99.9))
    for field, value in by_definition(seen, took_s).items():
        assert said[field] == pytest.approx(value, rel=1e-9, abs=1e-9), field


@given(rows(), st.floats(0.5, 20.0))
def test_figures_and_the_tools_json_say_the_same(seen: list[Row], took_s: float) -> None:
    ours, theirs = figures(seen, took_s, slo=SLO, criterion=Criterion.TPOT), vllm_json(seen, took_s, TOLD, slo=SLO)
    assert ours.goodput is not None and 0 <= ours.goodput.attainment <= 1
    assert ours.goodput.requests_per_s == theirs["request_goodput"]
    assert (ours.tps_total, ours.tps_out) == (theirs["total_token_throughput"], theirs["output_throughput"])
    for name in ("ttft", "tpot", "itl", "e2el"):
        spread = getattr(ours, name)
        if spread is not None:
            assert spread.p99_s * 1e3 == theirs[f"p99_{name}_ms"]
    assert figures(seen[::-1], took_s, slo=SLO, criterion=Criterion.TPOT) == ours


def test_the_fields_are_those_of_a_file_that_the_tool_wrote() -> None:
    theirs = json.loads(tool_outputs.read("vllm_bench/cvs-vllm_results_sample.json"))
    ours = vllm_json([row(0)], 1.0, TOLD)
    assert list(ours) == list(theirs)
    for field in ("date", "endpoint_type", "backend", "label", "request_rate", "burstiness", "max_concurrency", "rtfx"):
        assert ours[field] == theirs[field]
    assert {field: type(value) for field, value in ours.items()} == {field: type(theirs[field]) for field in theirs}


def test_the_detail_is_a_list_entry_per_request_in_the_order_of_the_workload() -> None:
    said = vllm_json([row(1, sent_s=2.0), row(0, outcome=Outcome.REFUSED, refusal="429")], 3.0, TOLD, detailed=True)
    assert (said["start_times"], said["output_lens"], said["errors"]) == ([0.0, 2.0], [0, 3], ["429", ""])
    assert said["itls"] == [[0.1, 0.1], [0.1, 0.1]]


def test_a_file_of_the_tool_is_read_back_with_what_is_derived() -> None:
    (read,) = read_tool_results(tool_outputs.read("vllm_bench/cvs-vllm_results_sample.json"), "f")
    assert (read.tool, read.requests, read.failed, read.request_rate) == ("vllm bench serve", 12800, 0, None)
    assert read.requests_per_s == pytest.approx(read.completed / read.duration_s)
    assert read.in_flight_mean == pytest.approx(256, rel=0.001)  # Little: --max-concurrency 256 was full all along
    assert read.ttft is not None and read.ttft.percentiles == {99.0: pytest.approx(2.471584795)}
    assert read.warnings == ()


def test_sglangs_flavour_is_read_and_its_bundled_events_are_warned_of() -> None:
    (read,) = read_tool_results(tool_outputs.read("vllm_bench/infera-pd_mori_1p1d_dsr1_conc128.json"), "f")
    assert (read.tool, read.max_concurrency, read.request_rate, read.failed) == (
        "SGLang bench_serving",
        128,
        None,
        None,
    )
    assert read.e2el is not None and sorted(read.e2el.percentiles) == [90.0, 99.0]
    assert read.in_flight_mean == pytest.approx(123.57, abs=0.01)
    assert "29.2 x mean TPOT" in read.warnings[0]


def test_what_we_write_is_read_back_also_behind_another() -> None:
    text = json.dumps(vllm_json([row(0)], 2.0, TOLD))
    first, second = read_tool_results(f"{text}\n{text}", "f")
    assert first == second
    assert first.e2el is not None and first.e2el.mean_s == pytest.approx(0.4)
    assert (first.tokens_out, first.completed, first.max_concurrency) == (3, 1, 256)


@pytest.mark.parametrize(
    "text", ["", "[1]", "{}", "not json", '{"duration": null}', '{"total_throughput": 1, "duration": "x"}']
)
def test_what_is_no_result_is_an_error_that_names_the_file(text: str) -> None:
    with pytest.raises(BenchError, match=r"run\.json"):
        read_tool_results(text, "run.json")
