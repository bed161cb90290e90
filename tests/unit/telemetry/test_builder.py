"""The snapshot says what was heard, how old it is, and nothing of what it does not know."""

from __future__ import annotations

import pytest

from pdctl.model.figure import Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.model.snapshot import Vital
from tests.unit.telemetry.snapshots import Bench, engine, expected, served


def figure(found: Fig) -> Figure:
    assert isinstance(found, Figure), found
    return found


def test_pools_add_their_instances() -> None:
    decode = served().pools["decode"]
    assert (decode.instances, decode.members, decode.counted) == (2, 2, 2)
    assert figure(decode.windows[10].flow.tokens_out).low == pytest.approx(200.0)
    assert figure(decode.load.running).low == 2
    assert figure(decode.load.kv_usage).low == 0.25
    assert figure(decode.windows[10].latencies.ttft.mean).low == pytest.approx((0.2 * 10 + 3.0) / 11)


def test_kv_that_crossed_is_derived_in_whole_blocks_and_says_so() -> None:
    """11 requests of 100 tokens a second on each of two engines, 1000 bytes a token, blocks of 16 tokens."""
    moved = figure(served().pools["decode"].kv[10].bytes_derived)
    truth = 2 * 11 * 112 * 1000.0
    assert moved.low <= truth <= moved.high
    assert moved.basis == "derived"
    assert isinstance(served().pools["decode"].kv[10].bytes_measured, Unknown)


def test_a_killed_engine_shows_no_frozen_number_after_two_ticks() -> None:
    bench = Bench()
    for second in range(6):
        bench.now_s = float(second)
        for node in ("n1", "n2", "n3"):
            bench.scrape(node, engine(100.0 * second, steps=second))
    bench.now_s = 6.0
    bench.fail("n3")
    assert bench.build().instances["n3.main.0"].vital is Vital.UP
    bench.now_s = 7.5
    for node in ("n1", "n2"):
        bench.scrape(node, engine(750.0, steps=7))
    bench.fail("n3")
    snapshot = bench.build()
    dead = snapshot.instances["n3.main.0"]
    assert dead.vital is Vital.STALE
    assert "no answer for 2 s: connection refused" in dead.why
    assert isinstance(dead.load.running, Unknown)
    assert isinstance(dead.windows[10].flow.tokens_out, Unknown)
    pool = snapshot.pools["decode"]
    assert (pool.counted, pool.left_out) == (1, ("n3.main.0",))
    assert figure(pool.load.running).low == 1


def test_a_new_generation_begins_a_new_history() -> None:
    bench = Bench()
    for second in range(3):
        bench.now_s = float(second)
        bench.scrape("n2", engine(1e6 * second))
    bench.builder.expect([expected("n2", Role.DECODE, generation=2)])
    bench.now_s = 3.0
    bench.scrape("n2", engine(0.0))
    assert isinstance(bench.build().instances["n2.main.0"].windows[10].flow.tokens_out, Unknown)


def test_an_engine_with_work_in_hand_and_no_steps_is_hung() -> None:
    bench = Bench()
    for second in range(30):
        bench.now_s = float(second)
        bench.scrape("n2", engine(100.0, running=3, steps=5))
        bench.scrape("n3", engine(100.0, running=0, steps=5))
    snapshot = bench.build()
    assert snapshot.instances["n2.main.0"].vital is Vital.HUNG
    assert "no engine step" in snapshot.instances["n2.main.0"].why
    assert snapshot.instances["n3.main.0"].vital is Vital.UP, "an idle engine takes no steps"


def test_what_its_unit_says_is_down_is_down_however_young_the_last_scrape() -> None:
    bench = Bench()
    bench.scrape("n2", engine(1.0))
    bench.builder.expect([expected("n2", Role.DECODE, vital=Vital.DOWN)])
    assert bench.build().instances["n2.main.0"].vital is Vital.DOWN


def test_every_figure_says_how_old_it_is() -> None:
    bench = Bench()
    for second in range(3):
        bench.now_s = float(second)
        bench.scrape("n2", engine(100.0 * second))
    bench.now_s = 3.5
    instance = bench.build().instances["n2.main.0"]
    assert figure(instance.load.running).age_s == pytest.approx(1.5)
    assert instance.scrape_age_s == pytest.approx(1.5)
