"""Outcome counts, quantiles and the request mix."""

from __future__ import annotations

import pytest

from pdctl.bench.figures.spread import quantile
from pdctl.bench.prompts import is_streamed, prompt
from pdctl.bench.report import summarise
from pdctl.model.load import LoadSpec, PromptKind
from pdctl.model.outcome import Outcome, OutcomeCounts, RequestResult


def test_counts_are_disjoint_and_add_up() -> None:
    counts = OutcomeCounts.of([*Outcome, Outcome.OK, Outcome.CUT])
    assert counts == OutcomeCounts(ok=2, aborted=1, error=1, cut=2, refused=1)
    assert (counts.failed, counts.total) == (5, 7)
    assert [outcome.failed for outcome in Outcome] == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 2.5), (0.99, 3.97), (1.0, 4.0)], ids=["min", "p50", "p99", "max"]
)
def test_quantiles_are_numpys(share: float, expected: float) -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], share) == pytest.approx(expected)
    assert quantile([7.0], share) == 7.0


def test_latencies_count_ok_requests_only() -> None:
    whole = RequestResult(Outcome.OK, 0.2, (0.1, 0.3), 0.6, 3, streamed=True)
    aborted = RequestResult(Outcome.ABORTED, 9.0, (9.0,), 9.0, 50, streamed=True, detail="abort")
    report = summarise([whole, aborted], took_s=2.0)
    assert (report.tokens, report.tokens_per_s) == (3, 1.5)
    assert report.ttft is not None
    assert (report.ttft.p50_s, report.ttft.p99_s, report.ttft.count) == (0.2, 0.2, 1)
    assert report.itl is not None
    assert report.itl.p50_s == pytest.approx(0.2)


def test_report_of_nothing_claims_nothing() -> None:
    report = summarise([], took_s=0.0)
    assert (report.counts.total, report.ttft, report.itl, report.e2el, report.tokens_per_s) == (0, None, None, None, 0)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.7, 1.0])
def test_streamed_share_holds_over_every_first_n(share: float) -> None:
    spec = LoadSpec("http://h", "m", concurrency=1, isl=1, osl=1, requests=1, stream_share=share)
    streamed = 0
    for index in range(200):
        streamed += is_streamed(spec, index)
        assert abs(streamed - share * (index + 1)) <= 1


@pytest.mark.parametrize("vocab", [2, 512, 100_000])
def test_token_ids_stay_inside_the_vocabulary(vocab: int) -> None:
    spec = LoadSpec("http://h", "m", concurrency=1, isl=500, osl=1, requests=1, vocab=vocab)
    ids = prompt(spec, 3)
    assert len(ids) == 500
    assert all(isinstance(item, int) and 0 < item < vocab for item in ids)


def test_words_prompt_has_isl_words() -> None:
    spec = LoadSpec("http://h", "m", concurrency=1, isl=40, osl=1, requests=1, prompt=PromptKind.WORDS)
    text = prompt(spec, 0)
    assert isinstance(text, str)
    assert len(text.split()) == 40
