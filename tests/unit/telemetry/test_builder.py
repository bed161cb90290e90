"""The snapshot says what was heard, how old it is, and nothing of what it does not know."""

from __future__ import annotations

import pytest

from pdctl.model.figure import Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.model.snapshot import Vital
from pdctl.telemetry.builder import ROUTER_TARGET
from pdctl.telemetry.families import ROUTER, scraped_names
from pdctl.telemetry.node_feed import Lost, NodeSeen, Scraped
from pdctl.telemetry.router import RouterSight
from pdctl.telemetry.scan import Scanner
from tests.unit.telemetry.scrapes import counter, histogram
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


def test_the_engines_own_block_size_goes_before_what_was_assumed() -> None:
    """100 tokens are seven blocks of 16, and four of 32, as the attention backend chose."""
    bench = Bench()
    for second in range(12):
        bench.now_s = float(second)
        text = engine(0.0, [0.2] * 11 * second) + counter("cache_config_info", 1.0, block_size="32")
        for node in ("n1", "n2", "n3"):
            bench.scrape(node, text)
    snapshot = bench.build()
    moved = figure(snapshot.pools["decode"].kv[10].bytes_derived)
    assert moved.low <= 2 * 11 * 128 * 1000.0 <= moved.high
    assert "of 32" in moved.note
    assert "of 32" in figure(snapshot.instances["n2.main.0"].kv[10].bytes_derived).note
    assert "of 16" in figure(served().pools["decode"].kv[10].bytes_derived).note


def test_the_load_of_each_dp_rank_can_be_told_apart() -> None:
    """Eleven ranks behind one port: the eleventh is full. An engine of one rank, or a silent one, has none to show."""
    bench = Bench()
    text = "".join(
        counter("num_requests_running", rank, engine=str(rank))
        + counter("kv_cache_usage_perc", 0.1 * rank, engine=str(rank))
        for rank in range(11)
    )
    bench.scrape("n1", text)
    bench.scrape("n2", engine(0.0))
    ranks = bench.build().instances["n1.main.0"].ranks
    assert list(ranks) == [str(rank) for rank in range(11)]
    assert [figure(load.running).low for load in ranks.values()] == list(range(11))
    assert figure(ranks["10"].kv_usage).low == pytest.approx(1.0)
    assert isinstance(ranks["10"].waiting, Unknown)
    assert bench.build().instances["n2.main.0"].ranks == {}
    bench.now_s = 3.0
    assert bench.build().instances["n1.main.0"].ranks == {}, "a frozen number would look alive"


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


def test_a_decode_engine_that_only_waits_for_kv_is_not_hung_whatever_its_version_tells() -> None:
    deferred = counter("num_requests_waiting_by_reason", 2, reason="deferred")
    for why, vital in (("", Vital.UP), (deferred, Vital.UP), (deferred.replace(" 2", " 1"), Vital.HUNG)):
        bench = Bench()
        for second in range(30):
            bench.now_s = float(second)
            bench.scrape(
                "n2", counter("num_requests_waiting", 2) + why + histogram("iteration_tokens_total", [1.0], (1, 8))
            )
        assert bench.build().instances["n2.main.0"].vital is vital


def test_nodes_counters_that_are_old_are_not_shown_as_what_is() -> None:
    """Engines may still be heard while the counters of the node are not."""
    bench = Bench()
    nic = {"tx_words": 0, "rx_words": 0, "state": "ACTIVE"}
    for second in range(12):
        bench.now_s = float(second)
        bench.scrape("n2", engine(1.0))
        if second < 4:
            bench.builder.hear("n2", NodeSeen(bench.now_s, {"rdma0": {**nic, "rx_words": 250 * second}}, {}), second)
        if second == 3:
            (seen,) = bench.build().nodes["n2"].nics
            assert figure(seen.rx_bytes).low == 1000.0
    node = bench.build().nodes["n2"]
    assert node.nics == ()
    assert node.age_s == 0.0, "it was heard, but not of its counters"


@pytest.mark.parametrize(
    ("holders", "devices", "wanted"),
    [
        pytest.param({"n2": {"decode"}, "n3": {"decode"}, "n1": {"prefill"}}, ("n2", "n3"), 4000.0, id="all known"),
        pytest.param(
            {"n2": {"decode"}, "n3": {"decode", "prefill"}}, ("n2", "n3"), "slots of prefill too", id="shared"
        ),
        pytest.param({"n2": {"decode"}, "n3": {"decode"}}, ("n2",), "n3: no RDMA device", id="one not seen"),
    ],
)
def test_nic_bytes_of_a_pool_are_those_of_nodes_that_are_its_own(
    holders: dict[str, set[str]], devices: tuple[str, ...], wanted: float | str
) -> None:
    bench = Bench()
    bench.builder.expect_nodes(["n1", "n2", "n3"], {node: frozenset(pools) for node, pools in holders.items()})
    for second in range(3):
        bench.now_s = float(second)
        for node in ("n1", "n2", "n3"):
            nics = {f"rdma{rail}": {"rx_words": 250 * second, "tx_words": 0} for rail in (0, 1) if node in devices}
            bench.builder.hear(node, NodeSeen(bench.now_s, nics, {}), bench.now_s)
            bench.scrape(node, engine(1.0))
    kv = bench.build().pools["decode"].kv
    if isinstance(wanted, float):
        assert figure(kv[10].bytes_nic).low == wanted
    else:
        assert isinstance(kv[10].bytes_nic, Unknown)
        assert wanted in kv[10].bytes_nic.reason
    assert isinstance(kv[60].bytes_nic, Unknown)


def test_members_and_router_that_were_not_heard_of_lately_are_not_shown_as_they_were() -> None:
    bench = Bench()
    sight = RouterSight(Vital.UP, members={"n1.main.0": True}, members_s=0.0)
    bench.builder.route(sight)
    text = 'vllm_router_pd_requests_total{} 5\nvllm_router_pd_pending_decode_requests{worker="w"} 3\n'
    for second in range(3):
        bench.now_s = float(second)
        scan = Scanner(scraped_names(ROUTER)).scan(text)
        bench.builder.hear("n1", Scraped(ROUTER_TARGET, bench.now_s, scan), bench.now_s)
    snapshot = bench.build()
    assert (snapshot.router.vital, figure(snapshot.router.pending).low) == (Vital.UP, 3.0)
    assert [snapshot.instances[f"{node}.main.0"].member for node in ("n1", "n2")] == [True, False]
    bench.now_s = 20.0
    bench.builder.hear("n1", Lost(ROUTER_TARGET, bench.now_s, "refused"), bench.now_s)
    snapshot = bench.build()
    assert snapshot.router.vital is Vital.STALE
    assert snapshot.router.why == "no answer for 18 s: refused"
    assert isinstance(snapshot.router.pending, Unknown)
    assert snapshot.instances["n1.main.0"].member is None
    assert snapshot.pools["prefill"].members is None


def test_the_routers_requests_are_those_that_came_also_while_prefill_is_behind() -> None:
    # vllm-router 0.1.17, measured: pd_requests_total rises when a prefill leg ends, the others when a request comes.
    bench = Bench()
    bench.builder.route(RouterSight(Vital.UP))
    scanner = Scanner(scraped_names(ROUTER))
    for second in range(11):
        text = "".join(
            f'vllm_router_processed_requests_total{{worker="http://{leg}"}} {6 * second}\n' for leg in ("p:1", "d:1")
        )
        text += f'vllm_router_pd_requests_total{{route="/v1/completions"}} {2 * second}\n'
        disaggregated = text + 'vllm_router_pd_pending_decode_requests{worker="http://d:1"} 30\n'
        bench.now_s = float(second)
        bench.builder.hear("n1", Scraped(ROUTER_TARGET, bench.now_s, scanner.scan(disaggregated)), bench.now_s)
    assert figure(bench.build().router.requests).low == pytest.approx(6.0)


def test_a_router_that_began_anew_and_prints_nothing_yet_shows_no_old_number() -> None:
    bench = Bench()
    bench.builder.route(RouterSight(Vital.UP))
    scanner = Scanner(scraped_names(ROUTER))
    for second, text in enumerate(('vllm_router_pd_pending_decode_requests{worker="w"} 3\n', "")):
        bench.now_s = float(second)
        bench.builder.hear("n1", Scraped(ROUTER_TARGET, bench.now_s, scanner.scan(text)), bench.now_s)
    router = bench.build().router
    assert router.vital is Vital.UP
    assert figure(router.pending).low == 0.0
