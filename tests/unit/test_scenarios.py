"""What the named scenarios offer, and when requests come."""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise

import pytest

from pdctl.errors import UsageError
from pdctl.perf.arrivals import closed_loop, moments_s, open_loop
from pdctl.perf.load import Load
from pdctl.perf.scenarios import NAMES, scenario
from pdctl.perf.vllm_arrivals import vllm_bench
from pdctl.perf.walk import stations, walk, walk_segments
from pdctl.perf.workload import Workload


@pytest.mark.parametrize(
    ("name", "shape", "rates"),
    [
        ("1k/1k", (1024, 1024), {160: 3, 320: 5, 480: 6}),
        ("8K/1K", (8192, 1024), {160: 2, 320: 3, 480: 4}),
        ("1k-8k", (1024, 8192), {160: 2, 240: 2, 320: 2, 480: 2}),
        ("8k/8k", (8192, 8192), {160: 2, 320: 2, 480: 2}),
    ],
)
def test_morehs_scenarios_have_their_requests_rates_and_a_limit_too(
    name: str, shape: tuple[int, int], rates: dict[int, int]
) -> None:
    found = scenario(name)
    assert (found.isl, found.osl) == shape
    assert {load.concurrency: load.rate_per_s for load in found.loads} == rates
    assert all(load.requests == 2 * (load.concurrency or 0) for load in found.loads)
    offered = found.expand(seed=1)[f"c160-r{rates[160]}"]
    assert (len(offered.asked), offered.concurrency) == (320, 160)
    assert offered.asked[-1].at_s == pytest.approx(320 / rates[160])


def test_mori_is_twenty_rates_without_a_limit_and_the_articles_targets() -> None:
    found = scenario("mori")
    assert [load.name for load in found.loads] == [f"r{step / 2:g}" for step in range(1, 21)]
    assert found.slo is not None and (found.slo.ttft_s, found.slo.itl_s) == (1.0, 0.05)
    assert {len(workload.asked) for workload in found.expand().values()} == {100}
    assert all(workload.concurrency is None for workload in found.expand().values())


def test_llmd_is_a_closed_loop_over_concurrencies() -> None:
    found = scenario("llmd")
    assert found.loads[0].name == "c4" and found.loads[-1].name == "c512" and len(found.loads) == 20
    offered = found.expand()["c4"]
    assert {request.at_s for request in offered.asked} == {0.0} and len(offered.asked) == 100


@pytest.mark.parametrize(
    ("text", "shape"), [("4096/256", (4096, 256)), ("2k/1", (2048, 1)), (" 16k-2K ", (16384, 2048))]
)
def test_any_shape_is_a_scenario_without_loads(text: str, shape: tuple[int, int]) -> None:
    found = scenario(text)
    assert (found.isl, found.osl, found.expand()) == (*shape, {})
    assert list(found.under([Load(4, 2), Load(4, rate_per_s=0.5)]).expand()) == ["c2", "r0.5"]


@pytest.mark.parametrize("text", ["", "1k", "0/5", "1k/1k/1k", "moria"])
def test_what_is_no_scenario_names_those_there_are(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        scenario(text)
    assert all(name in caught.value.hint for name in NAMES)


def test_a_load_without_a_rate_and_a_limit_is_none() -> None:
    for wrong in (
        {},
        {"concurrency": 0},
        {"rate_per_s": 0.0},
        {"rate_per_s": math.nan},
        {"rate_per_s": 1.0, "burstiness": 0},
    ):
        with pytest.raises(UsageError):
            Load(10, **wrong)


def test_burstiness_changes_the_gaps_and_not_the_rate() -> None:
    def variation(burstiness: float) -> float:
        moments = [0.0, *moments_s(4000, 5.0, burstiness=burstiness, seed=3)]
        assert moments[-1] == pytest.approx(800.0)
        gaps = [later - earlier for earlier, later in pairwise(moments)]
        return math.sqrt(sum((gap - 0.2) ** 2 for gap in gaps) / len(gaps)) / 0.2

    assert variation(0.25) == pytest.approx(2.0, rel=0.1)
    assert variation(1.0) == pytest.approx(1.0, rel=0.1)
    assert variation(4.0) == pytest.approx(0.5, rel=0.1)
    assert variation(math.inf) == pytest.approx(0.0, abs=1e-9)


def test_poisson_arrivals_are_those_of_vllm_bench_serve() -> None:
    assert open_loop(50, 3.0, 10, 20, seed=5, concurrency=8) == vllm_bench(50, 3.0, 10, 20, seed=5, concurrency=8)


def test_a_closed_loop_offers_all_at_once() -> None:
    assert closed_loop(3, 2, 10, 20) == Workload(closed_loop(3, 9, 10, 20).asked, concurrency=2)


@pytest.mark.parametrize(
    ("offered", "digest"),
    [
        (open_loop(200, 5.0, 1, 1, seed=7), "c019bc234ca28257"),
        (open_loop(200, 5.0, 1, 1, seed=7, burstiness=0.5), "39b4b1d52a61ad3c"),
        (walk(0.8, phase_s=300.0, seed=11), "1c3f0f0b3e7f1a5c"),
    ],
    ids=["poisson", "bursty", "walk"],
)
def test_a_seed_gives_the_same_load_on_every_machine(offered: Workload, digest: str) -> None:
    text = "".join(f"{request.at_s:.6f} {request.isl} {request.osl}\n" for request in offered.asked)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


def test_the_walk_goes_out_and_back_one_engine_at_a_time() -> None:
    splits = [station.prefill for station in stations(300.0)]
    assert splits == [4, 5, 4, 3, 2, 1, 2, 3]
    assert (stations(300.0)[-1].end_s, stations()[1].begin_s) == (2400.0, 1200.0)
    assert [segment.mult for segment in walk_segments()] == [3.0, 3.8, 3.0, 2.0, 1.2, 0.6, 1.2, 2.0]
    offered = walk(seed=7).asked
    second = [request for request in offered if 1200 <= request.at_s < 2400]
    assert len(second) == pytest.approx(3.8 * 1200, rel=0.05)
    assert all(1 <= request.osl <= 4 and 12000 <= request.isl <= 16000 for request in second)
