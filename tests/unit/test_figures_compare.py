"""Means over seeds with their confidence; improvements and geometric means, held against published tables."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from pdctl.bench.figures.improvement import compare, geometric_mean, ratio
from pdctl.bench.figures.measure import figures
from pdctl.bench.figures.metric import METRICS, MOREH
from pdctl.bench.figures.seeds import mean, over_seeds, student_t
from pdctl.perf.published import R1Row, r1_rows
from tests.bench_rows import row


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (30, 2.0423), (120, 1.9799)]
)
def test_students_t_is_that_of_the_tables(freedom: int, expected: float) -> None:
    assert student_t(0.95, freedom) == pytest.approx(expected, abs=5e-5)


def test_three_seeds_have_an_interval_and_one_has_none() -> None:
    seen = mean([10.0, 12.0, 14.0])
    assert seen is not None and seen.value == 12.0
    assert seen.half == pytest.approx(4.3027 * 2 / math.sqrt(3), rel=1e-4)
    alone = mean([10.0])
    assert alone is not None and (alone.half, alone.low, alone.count) == (None, None, 1)
    assert mean([]) is None


def test_over_seeds_gives_the_metrics_that_every_seed_has() -> None:
    points = [figures([row(0, e2el_s=took_s)], took_s) for took_s in (0.4, 0.5)]
    seen = over_seeds(points)
    assert seen["e2el"].value == pytest.approx(0.45) and seen["e2el"].count == 2
    assert "goodput" not in seen and "tpsg" not in seen


MOREHS: list[tuple[str, bool, Callable[[R1Row], float | None], float]] = [
    ("median E2EL", False, lambda each: each.e2el_s, 1.35),
    ("throughput", True, lambda each: each.tokens_per_s, 1.20),
    ("P99 ITL", False, lambda each: each.itl_p99_s, 23.85),
]


@pytest.mark.parametrize(("name", "higher", "of", "published"), MOREHS, ids=[each[0] for each in MOREHS])
def test_the_published_tables_give_the_published_geometric_means(
    name: str, higher: bool, of: Callable[[R1Row], float | None], published: float
) -> None:
    table = {(each.scenario, each.concurrency, each.layout): of(each) for each in r1_rows()}
    ratios = [
        found
        for (scenario, concurrency, layout), old in table.items()
        if layout == "5M"
        and concurrency != 240  # the report's second part alone has 240
        and old is not None
        and (new := table[scenario, concurrency, "2P3D"]) is not None
        and (found := ratio(old, new, higher_is_better=higher)) is not None
    ]
    assert len(ratios) == (6 if name == "P99 ITL" else 12)
    assert geometric_mean(ratios) == pytest.approx(published, abs=0.005)


@pytest.mark.parametrize(
    ("layout", "higher", "of", "published"),
    [
        ("2P3D", False, lambda each: each.e2el_s, 1.08),
        ("1P4D", False, lambda each: each.e2el_s, 1.13),
        ("2P3D", True, lambda each: each.tokens_per_s, 1.08),
        ("1P4D", True, lambda each: each.tokens_per_s, 1.11),
    ],
)
def test_the_long_answers_prefer_one_prefill_node_as_published(
    layout: str, higher: bool, of: Callable[[R1Row], float], published: float
) -> None:
    table = {(each.concurrency, each.layout): of(each) for each in r1_rows() if each.scenario == "1K/8K"}
    ratios = [ratio(table[each, "5M"], table[each, layout], higher_is_better=higher) for each in (160, 240, 320, 480)]
    assert geometric_mean(found for found in ratios if found is not None) == pytest.approx(published, abs=0.005)


def test_seeds_are_paired_so_a_steady_gain_is_certain_though_loads_differ() -> None:
    base = {("s", "c1"): {seed: figures([row(e2el_s=took_s)], 1.0) for seed, took_s in ((0, 1.0), (1, 3.0), (2, 9.0))}}
    other = {
        ("s", "c1"): {seed: figures([row(e2el_s=took_s)], 1.0) for seed, took_s in ((0, 0.5), (1, 1.45), (2, 4.6))}
    }
    (found,) = compare(base, other, METRICS["e2el"]).rows
    assert found.ratio == pytest.approx(2.0, rel=0.02) and found.seeds == 3
    assert found.certain and found.low is not None and found.low > 1.8


def test_one_seed_is_a_ratio_of_which_nothing_is_certain() -> None:
    one = {("s", "c1"): {0: figures([row(0)], 1.0)}, ("s", "c2"): {0: figures([row(0)], 1.0)}}
    other = {("s", "c1"): {0: figures([row(0), row(1)], 1.0)}, ("t", "c9"): {0: figures([row(0)], 1.0)}}
    seen = compare(one, other, METRICS["tps"])
    assert [(found.key, found.ratio, found.low, found.certain) for found in seen.rows] == [
        (("s", "c1"), 2.0, None, None)
    ]
    assert seen.geometric_mean == pytest.approx(2.0)
    assert seen.missing == (("s", "c2"), ("t", "c9"))


def test_every_metric_of_the_report_is_one_of_ours() -> None:
    assert set(MOREH) <= set(METRICS)
    assert not METRICS["e2el"].higher_is_better and METRICS["tps"].higher_is_better
