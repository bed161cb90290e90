"""KV blocks and the scheduler, on no clock at all."""

from __future__ import annotations

import pytest

from pdctl.perf.step_time import RankLoad
from pdctl.sim.answer import Answer
from pdctl.sim.kv_blocks import BlockPool, blocks_for
from pdctl.sim.scheduler import Limits, RankScheduler, RankStep
from pdctl.sim.sim_request import Leg, Phase, SimRequest

LIMITS = Limits(max_seqs=4, max_batched_tokens=100, block_size=10, num_blocks=101)


def ask(name: str, prompt: int = 10, output: int = 5, leg: Leg = Leg.LOCAL) -> SimRequest:
    answer = Answer(digest=1, length=output, finish="length")
    return SimRequest(name, name, prompt, answer, max_tokens=output, arrival_s=0.0, leg=leg)


def run_step(rank: RankScheduler) -> tuple[RankStep, list[str]]:
    """One whole step; who got a token. Finished requests are taken out, as the core does."""
    step = rank.schedule(0.0)
    served = rank.advance(step)
    for request in served:
        if request.produced >= request.answer.length:
            rank.finish(request, "length", 0.0)
    return step, [request.id for request in served]


@pytest.mark.parametrize(("tokens", "blocks"), [(0, 0), (1, 1), (10, 1), (11, 2)])
def test_blocks_are_counted_up(tokens: int, blocks: int) -> None:
    assert blocks_for(tokens, 10) == blocks


def test_pool_gives_out_every_block_but_the_null_block_and_takes_all_back() -> None:
    pool = BlockPool(5)
    holding = pool.admit(2, 4)
    assert holding is not None and 0 not in holding.ids
    assert (pool.available, pool.held, pool.usage) == (0, 2, 0.5)
    assert pool.admit(1, 1) is None  # promised is as good as taken
    pool.grow(holding)
    assert pool.usage == 0.75
    pool.shrink(holding)
    assert pool.available == 1
    assert pool.release(holding) == 3
    assert pool.release(holding) == 0
    assert (pool.available, pool.held) == (4, 0)


def test_growing_past_the_promise_is_an_error() -> None:
    pool = BlockPool(5)
    holding = pool.admit(1, 1)
    assert holding is not None
    with pytest.raises(ValueError, match="reserved"):
        pool.grow(holding)


def test_a_filled_prompt_costs_no_prefill() -> None:
    """As DecodeBenchConnector has it: the first step makes the first token, whatever the prompt's length."""
    rank = RankScheduler(LIMITS)
    rank.add(ask("filled", prompt=350, output=2, leg=Leg.FILLED))
    step, served = run_step(rank)
    assert served == ["filled"]
    assert step.load == RankLoad(decoding=1, context_tokens=350, prompt_tokens=0, landed_tokens=0)


def test_prefill_then_one_token_a_step() -> None:
    rank = RankScheduler(LIMITS)
    rank.add(ask("a", prompt=30, output=3))
    step, served = run_step(rank)
    assert (step.load, served) == (RankLoad(prompt_tokens=30), ["a"])
    step, served = run_step(rank)
    assert (step.load, served) == (RankLoad(decoding=1, context_tokens=31), ["a"])
    run_step(rank)
    assert (rank.unfinished, rank.pool.held) == (0, 0)


def test_long_prompts_are_chunked_and_the_next_one_queues_behind() -> None:
    rank = RankScheduler(LIMITS)
    rank.add(ask("long", prompt=250))
    rank.add(ask("next", prompt=80))
    chunks = []
    for _ in range(4):
        step = rank.schedule(0.0)
        chunks.append([(request.id, count) for request, count in step.chunks])
        rank.advance(step)
    assert chunks[:3] == [[("long", 100)], [("long", 100)], [("long", 50), ("next", 50)]]
    assert chunks[3] == [("next", 30)]


def test_decodes_come_before_prefills_and_cost_budget() -> None:
    rank = RankScheduler(LIMITS)
    rank.add(ask("first"))
    run_step(rank)
    rank.add(ask("second", prompt=200))
    step, served = run_step(rank)
    assert served == ["first"]
    assert step.load == RankLoad(decoding=1, context_tokens=11, prompt_tokens=99)


def test_seats_are_bounded_and_refilled_in_order() -> None:
    rank = RankScheduler(LIMITS)
    for index in range(6):
        rank.add(ask(f"r{index}", output=2))
    assert run_step(rank)[1] == ["r0", "r1", "r2", "r3"]
    run_step(rank)
    assert run_step(rank)[1] == ["r4", "r5"]


def test_request_waits_for_blocks_and_blocks_those_behind_it() -> None:
    rank = RankScheduler(Limits(4, 1000, 10, 11))
    rank.add(ask("big", prompt=70, output=10))
    rank.add(ask("waits", prompt=40, output=1))
    rank.add(ask("small", prompt=10, output=1))
    run_step(rank)
    assert [request.id for request in rank.waiting] == ["waits", "small"]
    rank.finish(rank.running[0], "abort", 0.0)
    assert run_step(rank)[1] == ["waits", "small"]


def test_admitted_requests_never_run_out_of_blocks() -> None:
    rank = RankScheduler(Limits(4, 1000, 10, 11))
    for index in range(4):
        rank.add(ask(f"r{index}", prompt=15, output=25))
    for _ in range(200):
        run_step(rank)
        assert rank.pool.available >= 0
    assert (rank.unfinished, rank.pool.held) == (0, 0)


def test_request_that_can_never_fit_is_known() -> None:
    rank = RankScheduler(Limits(4, 1000, 10, 11))
    assert rank.fits(ask("a", prompt=90, output=10))
    assert not rank.fits(ask("b", prompt=90, output=11))


def test_deferred_request_takes_blocks_but_no_seat_and_is_served_when_its_kv_landed() -> None:
    rank = RankScheduler(Limits(1, 100, 10, 101))
    remote, local = ask("remote", prompt=30, leg=Leg.FETCH_ASYNC), ask("local")
    rank.add(remote)
    rank.add(local)
    step, served = run_step(rank)
    assert ([request.id for request in step.fetching], served) == (["remote"], ["local"])
    assert remote.phase is Phase.DEFERRED and len(remote.holding.ids if remote.holding else []) == 3
    rank.landed(remote)
    rank.finish(local, "abort", 0.0)
    step, served = run_step(rank)
    assert (served, step.load) == (["remote"], RankLoad(decoding=1, context_tokens=30, landed_tokens=30))
    assert run_step(rank)[0].load.landed_tokens == 0


def test_lost_kv_is_recomputed_as_a_prefill() -> None:
    rank = RankScheduler(LIMITS)
    request = ask("remote", prompt=30, leg=Leg.FETCH_ASYNC)
    rank.add(request)
    run_step(rank)
    rank.recompute(request)
    assert run_step(rank)[0].load == RankLoad(prompt_tokens=30)
    assert request.fetched == 0


def test_synchronous_fetch_is_pulled_in_the_step_that_serves_it() -> None:
    rank = RankScheduler(LIMITS)
    rank.add(ask("remote", prompt=30, leg=Leg.FETCH_SYNC))
    step, served = run_step(rank)
    assert ([request.id for request in step.pulls], served) == (["remote"], ["remote"])


def test_pinned_blocks_stay_until_they_are_released_once() -> None:
    rank = RankScheduler(LIMITS)
    request = ask("p", prompt=30, output=1, leg=Leg.PREFILL)
    rank.add(request)
    rank.advance(rank.schedule(0.0))
    rank.finish(request, "length", 1.0, pin=True)
    assert (rank.unfinished, rank.pinned, rank.pool.held) == (0, 1, 3)
    rank.unpin(request)
    rank.unpin(request)
    assert (rank.pinned, rank.pool.held) == (0, 0)


@pytest.mark.parametrize("moment", ["waiting", "deferred", "running"])
def test_request_can_be_ended_at_any_moment_and_only_once(moment: str) -> None:
    rank = RankScheduler(LIMITS)
    request = ask("a", leg=Leg.FETCH_ASYNC if moment == "deferred" else Leg.LOCAL)
    rank.add(request)
    if moment != "waiting":
        rank.schedule(0.0)
    assert request.phase == moment
    rank.finish(request, "abort", 1.0)
    rank.finish(request, "length", 2.0)
    assert (request.outcome, request.finished_s) == ("abort", 1.0)
    assert (rank.unfinished, rank.pool.held, rank.pool.available) == (0, 0, 100)


def test_request_that_ended_during_a_step_gets_no_token() -> None:
    rank = RankScheduler(LIMITS)
    request = ask("a")
    rank.add(request)
    step = rank.schedule(0.0)
    rank.finish(request, "abort", 0.0)
    assert rank.advance(step) == []
