"""NIXL's dialect between two simulated engines: what differs from MoRI-IO."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.waiting import wait_until
from tests.wire.sim_client import Answer, call, metrics
from tests.wire.sim_engines import Engine, engine, free_block

BODY: dict[str, Any] = {"model": "tiny", "prompt": "one two three", "max_tokens": 6, "ignore_eos": True}


@asynccontextmanager
async def nixl_pair(directory: Path, env: Mapping[str, str] | None = None) -> AsyncIterator[tuple[Engine, Engine]]:
    """A prefill and a decode."""

    def started(role: str) -> Any:
        channel = {"VLLM_NIXL_SIDE_CHANNEL_HOST": "127.0.0.1", "VLLM_NIXL_SIDE_CHANNEL_PORT": str(free_block(1))}
        config = json.dumps({"kv_connector": "NixlConnector", "kv_role": role})
        return engine(directory, "--kv-transfer-config", config, env={**channel, **(env or {})}, wait=False)

    async with started("kv_producer") as prefill, started("kv_consumer") as decode:
        await asyncio.gather(prefill.ready(), decode.ready())
        yield prefill, decode


async def prefill_leg(prefill: Engine) -> dict[str, Any]:
    params = {"do_remote_decode": True, "do_remote_prefill": False, "remote_engine_id": None}
    leg = {**BODY, "max_tokens": 1, "min_tokens": 1, "kv_transfer_params": params}
    answer = await call(prefill.port, "POST", "/v1/completions", leg, {"X-Request-Id": "r1"})
    found: dict[str, Any] = answer.json["kv_transfer_params"]
    return found


async def decode_leg(decode: Engine, params: dict[str, Any]) -> Answer:
    return await call(decode.port, "POST", "/v1/completions", {**BODY, "kv_transfer_params": params})


async def test_decode_pulls_what_the_prefill_named(tmp_path: Path) -> None:
    async with nixl_pair(tmp_path, {"PDCTL_SIM_KV_BYTES_PER_TOKEN": "1024"}) as (prefill, decode):
        params = await prefill_leg(prefill)
        assert (params["remote_host"], params["remote_num_tokens"], params["tp_size"]) == ("127.0.0.1", 3, 1)
        assert params["remote_request_id"].startswith("cmpl-r1-0-")
        assert (await decode_leg(decode, params)).finish == "length"
        await prefill.idle()
        seen = await metrics(decode.port)
    assert seen['vllm:prompt_tokens_by_source_total{engine="0",source="external_kv_transfer"}'] == 3
    assert seen['vllm:nixl_bytes_transferred_sum{engine="0"}'] == 16 * 1024, "a whole block of 16 tokens moves"


async def test_kv_is_held_for_its_lease_and_a_late_decode_fails(tmp_path: Path) -> None:
    async with nixl_pair(tmp_path, {"PDCTL_SIM_DEFER_TIMEOUT_S": "0.3"}) as (prefill, decode):
        params = await prefill_leg(prefill)
        assert (await metrics(prefill.port))["pdctl_sim_kv_pinned_requests"] == 1
        await prefill.idle()
        assert (await metrics(prefill.port))['vllm:nixl_num_kv_expired_reqs_total{engine="0"}'] == 1
        assert (await decode_leg(decode, params)).status == 500
        assert (await metrics(decode.port))['vllm:nixl_num_failed_transfers_total{engine="0"}'] == 1


async def test_slow_pull_stalls_nobody_else(tmp_path: Path) -> None:
    async with nixl_pair(tmp_path, {"PDCTL_SIM_KV_LATENCY_S": "1"}) as (prefill, decode):
        pull = asyncio.create_task(decode_leg(decode, await prefill_leg(prefill)))

        async def deferred() -> bool:
            seen = await metrics(decode.port)
            return seen['vllm:num_requests_kv_fetch_by_stage{engine="0",stage="in_progress"}'] == 1

        await wait_until(deferred, 5)
        assert (await call(decode.port, "POST", "/v1/completions", BODY)).status == 200
        assert not pull.done()
        pull.cancel()
        await decode.idle()
        await prefill.idle()
