"""Simulated engines behind the real vllm-router 0.1.17: it cannot tell them from vLLM."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.waiting import wait_until
from tests.wire.sim_client import complete, metrics
from tests.wire.sim_engines import Engine, engine, free_block, moriio_engine
from tests.wire.sim_router import ROUTER, routed

pytestmark = [
    pytest.mark.fleet,
    pytest.mark.skipif(not ROUTER.exists(), reason="vllm-router is not installed"),
]

FETCHED = 'vllm:prompt_tokens_by_source_total{{engine="{}",source="external_kv_transfer"}}'
LOCAL = 'vllm:prompt_tokens_by_source_total{engine="0",source="local_compute"}'
LENGTH = 'vllm:request_success_total{engine="0",finished_reason="length"}'


@pytest.mark.parametrize("mode", ["WRITE", "READ"])
async def test_requests_are_disaggregated_and_whole(tmp_path: Path, mode: str) -> None:
    read = mode == "READ"
    async with (
        moriio_engine(tmp_path, "prefill", read=read) as prefill,
        moriio_engine(tmp_path, "decode", read=read) as first,
        moriio_engine(tmp_path, "decode", read=read) as second,
        routed(tmp_path, [prefill], [first, second], mode=mode) as router,
    ):
        prompts = [f"question number {index}" for index in range(12)]
        answers = await asyncio.gather(
            *(complete(router.port, prompt, 10, stream=bool(index % 2)) for index, prompt in enumerate(prompts))
        )
        alone = [await complete(prefill.port, prompt, 10) for prompt in prompts]
        for one in (prefill, first, second):
            await one.idle()
        decodes = [await metrics(one.port) for one in (first, second)]
        handed_over = (await metrics(prefill.port))['pdctl_sim_kv_handoffs_total{direction="sent"}']
    assert [answer.status for answer in answers] == [200] * 12
    assert [answer.text for answer in answers] == [answer.text for answer in alone]
    assert all(answer.done for answer in answers[1::2])
    assert [seen[FETCHED.format(0)] for seen in decodes] == [18, 18]
    assert [seen[LOCAL] for seen in decodes] == [0, 0]
    assert handed_over == sum(seen['pdctl_sim_kv_handoffs_total{direction="received"}'] for seen in decodes) == 12


async def test_client_that_leaves_the_router_frees_both_engines(tmp_path: Path) -> None:
    async with _pair(tmp_path) as (prefill, decode), routed(tmp_path, [prefill], [decode], mode="WRITE") as router:
        cut = await complete(router.port, tokens=20000, stream=True, hang_up_after=3)
        assert len(cut.events) >= 3
        await decode.idle()
        await prefill.idle()
        assert (await metrics(decode.port))[LENGTH] == 0, "its stream was not served to its end"


async def test_prefill_that_fails_ends_its_decode_leg(tmp_path: Path) -> None:
    async with _pair(tmp_path) as (prefill, decode), routed(tmp_path, [prefill], [decode], mode="WRITE") as router:
        await prefill.fault("errors500")
        assert (await complete(router.port, stream=True)).status == 500
        await decode.idle()
        await prefill.fault("errors500", active=False)
        assert (await complete(router.port)).finish == "length"


async def test_ranks_are_walked_as_the_router_pins_them(tmp_path: Path) -> None:
    flags = ("--data-parallel-size", "2")
    async with (
        moriio_engine(tmp_path, "prefill", *flags) as prefill,
        moriio_engine(tmp_path, "decode", *flags) as decode,
        routed(tmp_path, [prefill], [decode], mode="WRITE", dp_size=2) as router,
    ):
        answers = [await complete(router.port, tokens=4) for _ in range(8)]
        seen = await metrics(decode.port)
    assert [answer.finish for answer in answers] == ["length"] * 8
    assert seen[FETCHED.format(0)] + seen[FETCHED.format(1)] == 16
    assert seen[FETCHED.format(0)] > 0 and seen[FETCHED.format(1)] > 0


async def test_sigterm_to_a_decode_is_an_abort_to_its_client(tmp_path: Path) -> None:
    async with _pair(tmp_path) as (prefill, decode), routed(tmp_path, [prefill], [decode], mode="WRITE") as router:
        stream = asyncio.create_task(complete(router.port, tokens=20000, stream=True))

        async def streaming() -> bool:
            return (await metrics(decode.port))['vllm:num_requests_running{engine="0"}'] == 1

        await wait_until(streaming, 5)
        decode.terminate()
        answer = await stream
        assert await decode.ended() == 0
    assert (answer.status, answer.finish, answer.done) == (200, "abort", True)


async def test_nixl_pair_serves_behind_the_router(tmp_path: Path) -> None:
    async with (
        _nixl(tmp_path, "kv_producer") as prefill,
        _nixl(tmp_path, "kv_consumer") as decode,
        routed(tmp_path, [prefill], [decode], connector="nixl") as router,
    ):
        answers = [await complete(router.port, tokens=6, stream=stream) for stream in (False, True)]
        await prefill.idle()
        seen = await metrics(decode.port)
        alone = await complete(decode.port, tokens=6)
    assert [answer.text for answer in answers] == [alone.text] * 2
    assert (seen[FETCHED.format(0)], seen[LOCAL]) == (4, 0)
    assert seen['vllm:nixl_xfer_time_seconds_count{engine="0"}'] == 2
    assert seen['vllm:nixl_bytes_transferred_sum{engine="0"}'] > 0


@asynccontextmanager
async def _pair(directory: Path) -> AsyncIterator[tuple[Engine, Engine]]:
    async with moriio_engine(directory, "prefill") as prefill, moriio_engine(directory, "decode") as decode:
        yield prefill, decode


@asynccontextmanager
async def _nixl(directory: Path, role: str) -> AsyncIterator[Engine]:
    side_channel = free_block(1)
    env = {"VLLM_NIXL_SIDE_CHANNEL_HOST": "127.0.0.1", "VLLM_NIXL_SIDE_CHANNEL_PORT": str(side_channel)}
    config = json.dumps({"kv_connector": "NixlConnector", "kv_role": role})
    async with engine(directory, "--kv-transfer-config", config, env=env) as one:
        one.side_channel = side_channel
        yield one
