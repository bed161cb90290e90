"""What Pulse says of each state: what is old, unknown, estimated, missed, or not there at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pdctl.model.figure import Basis, Fig, Figure, Latency
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.model.snapshot import Attainment, PairState, PoolFigures, Snapshot
from pdctl.tui.history import History
from pdctl.tui.levels import Level
from pdctl.tui.link_view import LinkView
from pdctl.tui.pulse_view import PoolView, PulseView, attained_level, pulse
from tests.tui.fleet import exact, instance, kv, latency, later, pool, snapshot


def view_of(tick: Snapshot, *, lag_s: float = 0.0, window_s: int = 10) -> PulseView:
    history = History()
    history.add(tick)
    return pulse(tick, history, window_s, lag_s)


def pool_of(view: PulseView, role: Role) -> PoolView:
    return next(lane.pools[0] for lane in view.lanes if lane.role is role)


def link_of(view: PulseView) -> LinkView:
    assert view.link is not None
    return view.link


def with_pool(tick: Snapshot, changed: PoolFigures) -> Snapshot:
    return replace(tick, pools={**tick.pools, changed.name: changed})


def with_kv(tick: Snapshot, **figures: Any) -> Snapshot:
    decode = tick.pools["decode"]
    return with_pool(
        tick, replace(decode, kv={seconds: replace(moved, **figures) for seconds, moved in decode.kv.items()})
    )


def texts(view: PoolView) -> dict[str, tuple[str, ...]]:
    return {row.label: tuple(value.text for value in row.values) for row in view.rows}


def test_two_lanes_and_a_link_between() -> None:
    view = view_of(snapshot(2, 3))
    assert [lane.role for lane in view.lanes] == [Role.PREFILL, Role.DECODE]
    assert set(texts(pool_of(view, Role.PREFILL))) == {"TTFT", "queued", "in", "done", "KV"}
    assert set(texts(pool_of(view, Role.DECODE))) == {"ITL", "TPOT", "out", "done", "KV"}
    assert pool_of(view, Role.PREFILL).members == "2/2"
    assert view.link is not None


def test_a_mixed_cluster_has_one_lane_and_hands_nothing_over() -> None:
    tick = snapshot(1, 1)
    mixed = pool(Role.MIXED, [instance(1, Role.MIXED)])
    view = view_of(replace(tick, pools={"mixed": mixed}, pairs=()))
    assert [lane.role for lane in view.lanes] == [Role.MIXED]
    assert view.link is None
    assert {"TTFT", "ITL", "in", "out"} <= set(texts(pool_of(view, Role.MIXED)))


def test_several_pools_of_a_role_are_rows_of_one_lane() -> None:
    tick = snapshot(2, 2)
    second = replace(tick.pools["decode"], name="decode-long")
    view = view_of(with_pool(tick, second))
    assert [item.name for item in view.lanes[1].pools] == ["decode", "decode-long"]


def test_estimated_and_derived_figures_say_so() -> None:
    tick = snapshot()
    estimated = replace(tick.client[10], ttft=replace(latency(0.2, 0.9), p99=Figure(0.9, 1.2, 0.0, Basis.ESTIMATED)))
    view = view_of(replace(tick, client={**tick.client, 10: estimated}))
    assert view.targets[0].p99.text == "~900ms-1.2s"
    assert link_of(view).rate.text.startswith("~")
    assert link_of(view).basis == "derived"


def test_an_open_end_is_a_lower_bound() -> None:
    tick = snapshot()
    open_end = replace(tick.client[10], itl=replace(latency(0.2, 0.9), p99=Figure(80.0, float("inf"), 0.0)))
    assert view_of(replace(tick, client={**tick.client, 10: open_end})).targets[1].p99.text == ">80s"


def test_an_interval_that_does_not_fit_has_a_bound_that_holds() -> None:
    value = view_of(snapshot()).targets[0].p99
    assert value.text == "855ms-1.14s"
    assert value.short == "<1.14s"


def test_unknown_is_a_question_mark_with_its_reason_and_never_zero() -> None:
    tick = snapshot()
    blind = replace(tick.pools["prefill"], load=replace(tick.pools["prefill"].load, waiting=Unknown("not shown")))
    queue = dict(pool_of(view_of(with_pool(tick, blind)), Role.PREFILL).queue)
    assert (queue["waiting"].text, queue["waiting"].level, queue["waiting"].note) == ("?", Level.UNKNOWN, "not shown")


def test_old_figures_are_dim_and_carry_their_age() -> None:
    tick = snapshot()
    load = replace(tick.pools["decode"].load, running=replace(exact(7.0), age_s=12.4))
    queue = dict(pool_of(view_of(with_pool(tick, replace(tick.pools["decode"], load=load))), Role.DECODE).queue)
    assert (queue["running"].text, queue["running"].age, queue["running"].level) == ("7", "12s", Level.DIM)
    assert queue["waiting"].age == ""


def test_a_feed_that_stopped_makes_everything_old() -> None:
    view = view_of(snapshot(), lag_s=42.0)
    assert view.targets[0].p50.age == "42s"
    assert all(value.age for row in pool_of(view, Role.DECODE).rows for value in row.values)


@pytest.mark.parametrize(
    ("within", "level"),
    [
        (exact(0.99), Level.GOOD),
        (Figure(0.90, 0.94, 0.0), Level.BAD),
        (Figure(0.90, 0.99, 0.0), Level.UNKNOWN),
        (Unknown("nothing finished"), Level.UNKNOWN),
    ],
)
def test_an_interval_across_the_goal_is_neither_met_nor_missed(within: Fig, level: Level) -> None:
    assert attained_level(within, 0.95) is level


def verdict(tick: Snapshot, *, shares: tuple[Fig, Fig], count: float = 100.0) -> tuple[str, Level]:
    client = replace(
        tick.client[60], attainment=Attainment(*shares, shares[0]), ttft=replace(latency(0.2, 0.9), count=exact(count))
    )
    view = view_of(replace(tick, bottleneck="", client={**tick.client, 60: client}))
    return view.verdict, view.verdict_level


def test_the_verdict_never_calls_good_what_is_not_known() -> None:
    tick = snapshot()
    assert view_of(tick).verdict.startswith("held back by decode: KV cache is 92")
    assert view_of(tick).verdict_level is Level.WARN
    assert verdict(tick, shares=(exact(0.99), exact(0.99)))[1] is Level.GOOD
    assert verdict(tick, shares=(exact(0.99), exact(0.99)), count=0.0) == ("no request in the last 60 s", Level.DIM)
    assert verdict(tick, shares=(exact(0.99), Unknown("silent")))[1] is Level.UNKNOWN
    assert verdict(tick, shares=(Figure(0.9, 1.0, 0.0), exact(0.99)))[1] is Level.UNKNOWN
    assert verdict(tick, shares=(exact(0.5), exact(0.99)))[1] is Level.WARN
    assert view_of(replace(tick, bottleneck="unknown: no engine of decode answers")).verdict_level is Level.UNKNOWN


def test_kv_is_measured_before_derived_before_nic() -> None:
    measured = link_of(view_of(with_kv(snapshot(), bytes_measured=exact(3e9))))
    assert (measured.basis, measured.rate.text) == ("measured", "3GB/s")
    nic = link_of(view_of(with_kv(snapshot(), bytes_derived=Unknown("no config"), bytes_nic=exact(5e9))))
    assert (nic.basis, nic.rate.text) == ("by NIC", "5GB/s")
    none = link_of(view_of(with_kv(snapshot(), bytes_derived=Unknown("no config"), bytes_nic=Unknown("no NIC"))))
    assert (none.basis, none.rate.text, none.rate.note) == ("not known", "?", "no config")


def test_the_hand_off_is_the_slowest_pair_and_broken_pairs_are_counted() -> None:
    view = link_of(view_of(snapshot(2, 3)))
    assert (view.handoff.text, view.handoff_by, view.pairs, view.level) == ("60ms", "canary", "6/6 ok", Level.GOOD)
    broken = link_of(view_of(snapshot(2, 3, hung=(3,))))
    assert (broken.pairs, broken.level) == ("2 broken", Level.BAD)
    assert "timed out" in broken.trouble


def test_pairs_that_nobody_tried_are_neither_good_nor_bad() -> None:
    tick = snapshot(1, 1)
    silent = with_kv(tick, transfer_time=Latency.unknown("no metrics"))
    untried = replace(tick.pairs[0], state=PairState.UNTRIED, handoff_s=Unknown("not tried"))
    view = link_of(view_of(replace(silent, pairs=(untried,))))
    assert (view.handoff.text, view.pairs, view.level) == ("?", "0/1 ok", Level.UNKNOWN)
    assert link_of(view_of(replace(silent, pairs=()))).pairs == "untried"
    some = replace(snapshot(1, 2), pairs=(snapshot(1, 2).pairs[0], replace(untried, decode="n03.main.0")))
    assert (link_of(view_of(some)).pairs, link_of(view_of(some)).level) == ("1/2 ok", Level.UNKNOWN)


def test_trouble_names_what_failed_and_who_is_in_no_sum() -> None:
    tick = snapshot(2, 3, hung=(4,))
    decode = tick.pools["decode"]
    flow = replace(decode.windows[10].flow, errors={"abort": exact(0.5), "error": exact(0.0)}, preemptions=exact(2.0))
    changed = replace(decode, windows={**decode.windows, 10: replace(decode.windows[10], flow=flow)})
    told = pool_of(view_of(with_pool(tick, changed)), Role.DECODE).trouble
    assert told == "abort 0.5/s; preempted 2/s; n04.main.0: no figures"
    assert pool_of(view_of(snapshot()), Role.DECODE).trouble == ""


def test_a_figure_that_moved_by_a_tenth_has_an_arrow_and_latency_that_rises_is_no_good_news() -> None:
    history = History()
    first = snapshot()
    for second in range(70):
        history.add(later(first, seconds=float(second)))
    slow = later(first, seconds=70.0)
    slow = replace(slow, client={**slow.client, 10: replace(slow.client[10], ttft=latency(0.5, 1.9))})
    history.add(slow)
    target = pulse(slow, history).targets[0]
    assert (target.trend.sign, target.trend.level) == ("↑", Level.WARN)
    assert target.trend.text == "↑100%"
    assert pulse(slow, history).targets[1].trend.sign == ""


def test_the_router_says_who_is_registered_and_what_fails() -> None:
    tick = snapshot()
    router = replace(tick.router, errors={"timeout": exact(0.2), "refused": exact(0.0)}, membership_age_s=90.0)
    words = dict(view_of(replace(tick, router=router)).router)
    assert words["timeout/s"].level is Level.BAD
    assert "refused/s" not in words
    assert (words["registered"].text, words["registered"].age) == ("5/5", "1m30s")
    assert dict(view_of(replace(tick, router=replace(router, members={}))).router)["registered"].text == "?"


def test_alerts_say_since_when_and_how_often() -> None:
    tick = later(snapshot(1, 2, hung=(2,)), seconds=185.0)
    (alert,) = view_of(replace(tick, alerts=tuple(replace(one, folded=3) for one in tick.alerts))).alerts
    assert (alert.when, alert.level, alert.subject) == ("3m05s, again 3x", Level.BAD, "n02.main.0")


def test_the_window_that_is_asked_for_is_the_one_that_is_shown() -> None:
    tick = snapshot()
    decode = tick.pools["decode"]
    slow = replace(decode.windows[300], latencies=replace(decode.windows[300].latencies, itl=latency(1.0, 2.0)))
    changed = with_pool(
        tick, replace(decode, windows={**decode.windows, 300: slow}, kv={**decode.kv, 300: kv(Role.DECODE, 9)})
    )
    assert texts(pool_of(view_of(changed, window_s=300), Role.DECODE))["ITL"] == ("800ms-1.1s", "1.8-2.4s")
    assert texts(pool_of(view_of(changed), Role.DECODE))["ITL"] != ("800ms-1.1s", "1.8-2.4s")
