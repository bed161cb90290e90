"""Snapshots become what the policy is shown, and what an advice goes by; what is not known is said, never guessed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.advisor.observed import observed
from pdctl.advisor.tick import TickBook
from pdctl.errors import TooThin
from pdctl.inventory.load import load
from pdctl.inventory.place import place
from pdctl.model.hold import Hold, HoldKind, Holds
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import Snapshot, Vital
from pdctl.perf.days.ratio import Ratio
from tests.tui.fleet import exact, snapshot

DEPLOYMENT = place(load(Path(__file__).parents[2] / "inventories" / "r1-2p3d.yaml"))


def ticked(*snapshots: Snapshot, every_s: float = 1.0) -> TickBook:
    book = TickBook()
    for number, each in enumerate(snapshots):
        book.take(each, number * every_s)
    return book


def test_rates_add_up_to_what_came_since_the_last_tick() -> None:
    book = ticked(*(snapshot() for _ in range(31)))
    seen = book.observe(30.0, DEPLOYMENT, Holds())
    assert seen is not None
    assert (seen.offered, seen.over_s, seen.ratio) == (300, 30.0, Ratio(2, 3))
    assert (seen.isl, seen.finished, seen.osl) == (512.0, 180, 32.0)
    assert (seen.reading, seen.writing, seen.stale, seen.held) == (12.0, 18.0, (), "")
    book.take(snapshot(), 31.0)
    again = book.observe(32.0, DEPLOYMENT, Holds())
    assert again is not None and (again.offered, again.over_s) == (10, 2.0), "each request counts once"


def test_few_requests_are_all_counted_though_each_tick_sees_a_part_of_one() -> None:
    seldom = replace(snapshot(), router=replace(snapshot().router, requests=exact(0.13)))
    book = ticked(seldom)
    offered = 0
    for second in range(1, 301):
        book.take(seldom, float(second))
        if second % 3 == 0:
            seen = book.observe(float(second), DEPLOYMENT, Holds())
            assert seen is not None
            offered += seen.offered
    assert offered == 39


def test_outputs_are_those_of_requests_that_ended_and_not_tokens_of_those_that_still_write() -> None:
    pool = snapshot().pools["decode"]
    flow = replace(pool.windows[10].flow, requests=exact(0.5), tokens_out=exact(4000.0), tokens_ended=exact(512.0))
    windows = {**pool.windows, 10: replace(pool.windows[10], flow=flow)}
    long = replace(snapshot(), pools={**snapshot().pools, "decode": replace(pool, windows=windows)})
    seen = ticked(*(long for _ in range(11))).observe(10.0, DEPLOYMENT, Holds())
    assert seen is not None and (seen.finished, seen.osl) == (5, 1024.0)


def test_while_no_prompt_is_read_they_are_taken_to_be_as_long_as_the_last_ones() -> None:
    pool = snapshot().pools["prefill"]
    flow = replace(pool.windows[10].flow, requests=exact(0.0), tokens_in=exact(0.0))
    windows = {**pool.windows, 10: replace(pool.windows[10], flow=flow)}
    idle = replace(snapshot(), pools={**snapshot().pools, "prefill": replace(pool, windows=windows)})
    book = ticked(snapshot(), snapshot())
    first = book.observe(1.0, DEPLOYMENT, Holds())
    book.take(idle, 2.0)
    second = book.observe(2.0, DEPLOYMENT, Holds())
    assert first is not None and second is not None and first.isl == second.isl == 512.0


def test_what_the_router_does_not_say_makes_the_tick_stale() -> None:
    mute = replace(snapshot(), router=replace(snapshot().router, requests=Unknown("no answer", "router")))
    seen = ticked(snapshot(), mute).observe(2.0, DEPLOYMENT, Holds())
    assert seen is not None and seen.stale == ("the router's count of requests",)


def test_a_gap_in_the_watch_is_stale_and_not_filled_with_the_rate_of_now() -> None:
    book = ticked(snapshot(), snapshot())
    book.take(snapshot(), 100.0)
    seen = book.observe(101.0, DEPLOYMENT, Holds())
    assert seen is not None and seen.offered == 10 and seen.stale == ("figures between two looks",)
    later = book.observe(200.0, DEPLOYMENT, Holds())
    assert later is not None and later.stale == ("nothing was seen lately",)


def test_an_engine_that_starts_holds_everything_and_a_pin_is_counted() -> None:
    starting = snapshot()
    first = next(iter(starting.instances.values()))
    starting = replace(
        starting, instances={**starting.instances, first.name: replace(first, vital=Vital.STARTING, member=False)}
    )
    slot = next(slot for slot in DEPLOYMENT.slots if slot.pool == "prefill")
    holds = Holds({slot.id: Hold(slot.id, HoldKind.PINNED, "ops", "tuned", 0.0)})
    seen = ticked(starting, starting).observe(2.0, DEPLOYMENT, holds)
    assert seen is not None
    assert (seen.held, seen.fixed_prefill, seen.fixed_decode) == (f"{first.name} is starting", 1, 0)
    assert seen.ratio == Ratio(1, 3)


def test_holds_that_cannot_be_read_hold() -> None:
    seen = ticked(snapshot(), snapshot()).observe(2.0, DEPLOYMENT, Holds(trouble="no connection"))
    assert seen is not None and "not known: no connection" in seen.held


def test_the_traffic_of_a_live_cluster() -> None:
    found = observed([snapshot(), replace(snapshot(), router=replace(snapshot().router, requests=exact(14.0)))])
    assert (found.rate_per_s, found.isl, found.osl, found.notes) == (12.0, 512.0, 32.0, ())
    assert found.words == "12 requests/s of 512 tokens in and 32 out"


def test_without_the_routers_count_the_rate_is_that_of_what_was_served_and_says_so() -> None:
    mute = replace(snapshot(), router=replace(snapshot().router, requests=Unknown("no answer", "router")))
    found = observed([mute])
    assert found.rate_per_s == 4.0
    assert "served" in found.notes[0]


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (snapshot(hung=(1,)), "without figures: n01.main.0"),
        (snapshot(down=(1, 2)), "no prefill engine answers"),
    ],
)
def test_too_thin_names_what_is_missing(seen: Snapshot, said: str) -> None:
    with pytest.raises(TooThin, match=said):
        observed([seen])
