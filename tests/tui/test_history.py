"""The ring of series: bounded, aligned to seconds, and honest about what it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pdctl.model.figure import Figure
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import Snapshot
from pdctl.tui.history import SPAN_S, History, filling_step_s, step_s
from tests.tui.fleet import exact, node, snapshot

REQUESTS = ("router", "", "requests")


def at(second: float, requests: float | None = 1.0) -> Snapshot:
    """A small fleet at that second, whose router counts so many requests."""
    tick = snapshot(1, 1)
    figure = Unknown("silent") if requests is None else exact(requests)
    return replace(tick, taken_s=1_000.0 + second, router=replace(tick.router, requests=figure))


def filled(values: Mapping[float, float | None]) -> History:
    history = History()
    for second, value in values.items():
        history.add(at(second, value))
    return history


def test_columns_are_means_of_whole_seconds_newest_last() -> None:
    history = filled({second: float(second) for second in range(8)})
    assert history.series(REQUESTS, 4, 2) == (0.5, 2.5, 4.5, 6.5)


def test_columns_stay_where_they_are_until_a_whole_one_is_over() -> None:
    history = filled({second: float(second) for second in range(10)})
    before = history.series(REQUESTS, 3, 5)
    history.add(at(10.0, 0.0))
    assert history.series(REQUESTS, 3, 5)[:2] == before[1:]


def test_what_was_unknown_or_not_looked_at_is_a_gap_and_no_zero() -> None:
    history = filled({0: 4.0, 1: None, 3: 6.0})
    assert history.series(REQUESTS, 4, 1) == (4.0, None, None, 6.0)
    assert history.series(("router", "", "nothing of this name"), 2, 1) == (None, None)


def test_ticks_faster_than_a_second_leave_the_last() -> None:
    history = filled({0.1: 1.0, 0.6: 2.0})
    assert history.series(REQUESTS, 1, 1) == (2.0,)


def test_what_is_older_than_the_span_is_gone() -> None:
    history = filled({0: 9.0, SPAN_S + 10: 1.0})
    assert history.series(REQUESTS, SPAN_S + 20, 1).count(None) == SPAN_S + 19
    assert history.known_s == SPAN_S


def test_a_minute_ago_is_a_mean_around_it() -> None:
    history = filled({second: 10.0 if second < 30 else 20.0 for second in range(90)})
    assert history.ago(REQUESTS, 75) == 10.0
    assert history.ago(REQUESTS, 30) == 20.0
    assert history.ago(REQUESTS, 200) is None


def test_going_back_in_time_shows_what_was_known_then_and_going_on_the_rest_again() -> None:
    history = filled({second: float(second) for second in range(100)})
    history.add(at(20.0, 20.0))
    assert history.series(REQUESTS, 3, 1) == (18.0, 19.0, 20.0)
    history.add(at(99.0, 99.0))
    assert history.series(REQUESTS, 3, 1) == (97.0, 98.0, 99.0)


def test_another_place_of_a_recording_has_no_past_yet() -> None:
    history = filled(dict.fromkeys(range(100), 1.0))
    history.add(at(50_000.0, 7.0))
    assert history.series(REQUESTS, 3, 1) == (None, None, 7.0)
    history.add(at(-50_000.0, 8.0))
    assert history.series(REQUESTS, 3, 1) == (None, None, 8.0)


def test_a_part_is_not_the_sum() -> None:
    """A GPU whose power is not known makes the power of its node unknown, not lower."""
    tick = snapshot(1, 1)
    one, other = node(1).gpus
    broken = replace(node(1), gpus=(one, replace(other, power_w=Unknown("N/A"))))
    history = History()
    history.add(replace(tick, nodes={"n01": broken, "n02": node(2)}))
    assert history.series(("node", "n01", "power_w"), 1, 1) == (None,)
    assert history.series(("node", "n02", "power_w"), 1, 1) == (1080.0,)
    assert history.series(("node", "n01", "temperature_c"), 1, 1) == (62.0,)


def test_memory_is_bounded_by_what_there_is_to_see() -> None:
    """Instances that come and go leave nothing behind after two rounds of the ring."""
    history, few = History(60), History(60)
    history.add(snapshot(4, 4))
    many = history.kept
    for second in range(0, 180, 7):
        tick = replace(snapshot(1, 1), taken_s=2_000_000_000.0 + second)
        few.add(tick)
        history.add(tick)
    assert history.kept == few.kept < many


def test_scales() -> None:
    assert [step_s(columns, 120) for columns in (5, 12, 60, 200)] == [30, 10, 2, 1]
    assert [filling_step_s(68, known) for known in (1, 68, 69, 300, 900)] == [1, 1, 2, 5, 10]
    assert Figure.exact(1.0, 0.0).middle == 1.0
