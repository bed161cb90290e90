"""The prefill/decode contract between two simulated engines, driven leg by leg as a router does it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until
from tests.wire.sim_client import call, complete, metrics
from tests.wire.sim_engines import free_block, moriio_engine
from tests.wire.sim_pair import Pair

BODY: dict[str, Any] = {"model": "tiny", "prompt": "one two three", "max_tokens": 6, "ignore_eos": True}
FETCHED = 'vllm:prompt_tokens_by_source_total{engine="0",source="external_kv_transfer"}'
LOCAL = 'vllm:prompt_tokens_by_source_total{engine="0",source="local_compute"}'
DEFERRED = 'vllm:num_requests_waiting_by_reason{engine="0",reason="deferred"}'
USAGE = 'vllm:kv_cache_usage_perc{engine="0"}'
ERRORS = 'vllm:request_success_total{engine="0",finished_reason="error"}'


@asynccontextmanager
async def pair(
    directory: Path, *flags: str, read: bool = False, env: Mapping[str, str] | None = None
) -> AsyncIterator[Pair]:
    async with (
        moriio_engine(directory, "prefill", *flags, read=read, env=env, wait=False) as prefill,
        moriio_engine(directory, "decode", *flags, read=read, env=env, wait=False) as decode,
    ):
        await asyncio.gather(prefill.ready(), decode.ready())
        yield Pair(prefill, decode, read)


@pytest.mark.parametrize("read", [False, True], ids=["write", "read"])
async def test_pair_answers_what_one_engine_alone_answers(tmp_path: Path, read: bool) -> None:
    async with pair(tmp_path, read=read) as two:
        buffered = await two.complete("one two three", 6)
        streamed = await two.complete("one two three", 6, stream=True)
        alone = await complete(two.decode.port, "one two three", 6)
        await two.prefill.idle()
        await two.decode.idle()
        sent, received = await metrics(two.prefill.port), await metrics(two.decode.port)
    assert buffered.text == streamed.text == alone.text
    assert (buffered.json["usage"]["completion_tokens"], streamed.finish) == (6, "length")
    assert (received[FETCHED], received[LOCAL], sent[LOCAL]) == (6, 3, 6)
    assert sent['pdctl_sim_kv_handoffs_total{direction="sent"}'] == 2
    assert received['pdctl_sim_kv_handoffs_total{direction="received"}'] == 2


async def test_prefill_answers_with_the_parameters_that_decode_needs(tmp_path: Path) -> None:
    async with pair(tmp_path, "--block-size", "4", read=True) as two:
        body = {**BODY, "prompt": [1] * 10}
        answer = await two.prefill_leg(body, two.headers(), "tx-1")
        pinned = await metrics(two.prefill.port)
    params = answer.json["kv_transfer_params"]
    assert (params["do_remote_prefill"], params["do_remote_decode"], params["transfer_id"]) == (True, False, "tx-1")
    assert params["remote_engine_id"] == f"127.0.0.1:{two.prefill.handshake}"
    assert [len(group) for group in params["remote_block_ids"]] == [3]
    assert (params["remote_dp_rank"], params["remote_dp_rank_override"]) == (0, True)
    assert (params["remote_host"], params["remote_notify_port"]) == ("127.0.0.1", two.prefill.notify)
    assert pinned["pdctl_sim_kv_pinned_requests"] == 1 and pinned[USAGE] > 0


async def test_write_decode_waits_deferred_until_its_prefill_has_run(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        headers = two.headers()
        decode = asyncio.create_task(two.decode_leg(BODY, headers, two.offer("tx-1")))
        await wait_until(lambda: _is(two.decode.port, DEFERRED, 1), 5)
        await two.prefill_leg(BODY, two.headers(), "tx-other")
        await asyncio.sleep(0.1)
        assert not decode.done()
        await two.prefill_leg(BODY, headers, "tx-1")
        assert (await decode).finish == "length"


async def test_write_defer_timeout_frees_the_prefill_and_fails_a_late_decode(tmp_path: Path) -> None:
    env = {"PDCTL_SIM_DEFER_TIMEOUT_S": "0.3"}
    async with pair(tmp_path, env=env) as two:
        headers = two.headers()
        await two.prefill_leg(BODY, headers, "tx-1")
        await two.prefill.idle()
        assert "Deferred write task for request cmpl-___prefill" in two.prefill.log.read_text()
        # A decode whose blocks are offered to nobody in time: its prefill gives up on another transfer of the pair.
        decode = asyncio.create_task(two.decode_leg(BODY, headers, two.offer("tx-1")))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(decode), 0.3)  # the prefill ignores ids that are over
        decode.cancel()
        await two.decode.idle()


async def test_write_failed_fails_the_decode_as_the_policy_says(tmp_path: Path) -> None:
    """The decode hears `write_failed` when its blocks were offered where nobody listens (a wrong notify port)."""
    env = {"PDCTL_SIM_DEFER_TIMEOUT_S": "0.3"}
    async with pair(tmp_path, env=env) as two:
        headers = two.headers()
        astray = {**headers, "X-Request-Id": headers["X-Request-Id"].replace(str(two.prefill.notify), "1")}
        decode = asyncio.create_task(two.decode_leg(BODY, astray, two.offer("tx-1")))
        await wait_until(lambda: _is(two.decode.port, DEFERRED, 1), 5)
        await two.prefill_leg(BODY, headers, "tx-1")
        answer = await decode
        assert (answer.status, answer.json["error"]["message"]) == (500, "Internal server error")
        assert await _is(two.decode.port, ERRORS, 1)
        assert "due to KV load failure" in two.decode.log.read_text()
        await two.decode.idle()


async def test_read_pins_are_reaped_after_the_defer_timeout(tmp_path: Path) -> None:
    async with pair(tmp_path, read=True, env={"PDCTL_SIM_DEFER_TIMEOUT_S": "0.3"}) as two:
        headers = two.headers()
        params = (await two.prefill_leg(BODY, headers, "tx-1")).json["kv_transfer_params"]
        await two.prefill.idle()
        assert "Reaped 1 deferred sends" in two.prefill.log.read_text()
        late = await two.decode_leg(BODY, headers, params)
        assert late.status == 500
        assert "RDMA transfer failed for request" in two.decode.log.read_text()


async def test_lost_write_ack_wedges_the_decode_until_its_client_leaves(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        await two.prefill.fault("lose_write_ack")
        request = asyncio.create_task(two.complete())
        await wait_until(lambda: _is(two.decode.port, DEFERRED, 1), 5)
        await two.prefill.idle()
        assert await _is(two.decode.port, DEFERRED, 1)
        request.cancel()
        await two.decode.idle()


@pytest.mark.parametrize("read", [False, True], ids=["write", "read"])
async def test_slow_kv_delays_the_decode(tmp_path: Path, read: bool) -> None:
    async with pair(tmp_path, read=read, env={"PDCTL_SIM_KV_LATENCY_S": "0.02"}) as two:
        await two.complete()
        await two.prefill.fault("slow_kv", factor=20)
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        await two.complete()
        assert loop.time() - begun_s > 0.4


async def test_read_stalls_every_request_of_the_decode_engine(tmp_path: Path) -> None:
    async with pair(tmp_path, read=True, env={"PDCTL_SIM_KV_LATENCY_S": "0.3"}) as two:
        stream = asyncio.create_task(complete(two.decode.port, tokens=200, stream=True))
        await wait_until(lambda: _is(two.decode.port, 'vllm:num_requests_running{engine="0"}', 1), 5)
        await two.complete()
        times = [at for at, _ in (await stream).events]
    assert max(later - earlier for earlier, later in pairwise(times)) > 0.28


async def test_read_in_flight_past_the_transfer_timeout_kills_the_engine(tmp_path: Path) -> None:
    env = {"PDCTL_SIM_KV_LATENCY_S": "5", "PDCTL_SIM_TRANSFER_TIMEOUT_S": "0.3"}
    async with pair(tmp_path, read=True, env=env) as two:
        answer = await two.complete()
        assert answer.status == 500
        assert (await call(two.decode.port, "GET", "/health")).status == 503
        assert "RDMA read TIMED OUT for req" in two.decode.log.read_text()


@pytest.mark.parametrize("read", [False, True], ids=["write", "read"])
async def test_decode_that_is_aborted_before_the_transfer_releases_its_prefill(tmp_path: Path, read: bool) -> None:
    env = {"PDCTL_SIM_KV_LATENCY_S": "0.5"}
    async with pair(tmp_path, "--max-num-seqs", "1", read=read, env=env) as two:
        busy = asyncio.create_task(complete(two.decode.port, tokens=3000, stream=True))
        await wait_until(lambda: _is(two.decode.port, 'vllm:num_requests_running{engine="0"}', 1), 5)
        request = asyncio.create_task(two.complete())  # the only seat is taken
        await wait_until(lambda: _is(two.prefill.port, "pdctl_sim_kv_pinned_requests", 1), 5)
        await wait_until(lambda: _is(two.decode.port, 'vllm:num_requests_waiting{engine="0"}', 1), 5)
        request.cancel()
        await two.prefill.idle()
        busy.cancel()
        await two.decode.idle()


async def test_release_that_overtakes_its_prefill_is_remembered(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        headers = two.headers()
        decode = asyncio.create_task(two.decode_leg(BODY, headers, two.offer("tx-1")))
        await wait_until(lambda: _is(two.decode.port, DEFERRED, 1), 5)
        decode.cancel()
        await two.decode.idle()
        await asyncio.sleep(0.05)
        await two.prefill_leg(BODY, headers, "tx-1")
        assert await _is(two.prefill.port, "pdctl_sim_kv_pinned_requests", 0)


@pytest.mark.parametrize("read", [False, True], ids=["write", "read"])
async def test_peer_reborn_on_its_old_ports_is_met_with_stale_keys(tmp_path: Path, read: bool) -> None:
    """READ: the decode fails the request. WRITE: the write is lost, and nobody tells the decode."""
    reborn = "prefill" if read else "decode"
    other = "decode" if read else "prefill"
    handshake, notify = free_block(4), free_block(4)
    async with moriio_engine(tmp_path, other, read=read) as survivor:

        def legs(engine: Any) -> Pair:
            return Pair(engine, survivor, read) if read else Pair(survivor, engine, read)

        async with moriio_engine(tmp_path, reborn, read=read, handshake=handshake, notify=notify) as first_life:
            assert (await legs(first_life).complete()).finish == "length"
        async with moriio_engine(tmp_path, reborn, read=read, handshake=handshake, notify=notify) as second_life:
            two = legs(second_life)
            if read:
                assert (await two.complete()).status == 500
                assert "stale memory key" in survivor.log.read_text()
                return
            request = asyncio.create_task(two.complete())
            await wait_until(lambda: "stale remote write" in second_life.log.read_text(), 5)
            assert await _is(second_life.port, DEFERRED, 1)
            request.cancel()


async def test_drain_of_a_prefill_waits_for_pinned_kv(tmp_path: Path) -> None:
    async with pair(tmp_path, "--shutdown-timeout", "20", read=True) as two:
        headers = two.headers()
        params = (await two.prefill_leg(BODY, headers, "tx-1")).json["kv_transfer_params"]
        two.prefill.terminate()
        await asyncio.sleep(0.3)
        assert two.prefill.process.poll() is None
        assert (await two.decode_leg(BODY, headers, params)).finish == "length"
        assert await two.prefill.ended(5) == 0


async def test_bare_connection_is_harmless_and_a_stray_byte_is_not(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        for port in (two.prefill.notify, two.prefill.handshake):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
        assert (await two.complete()).finish == "length"
        _, writer = await asyncio.open_connection("127.0.0.1", two.prefill.notify)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        await wait_until(lambda: "Traceback" in two.prefill.log.read_text(), 5)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", two.prefill.notify)
        writer.close()


async def test_transfer_without_any_address_kills_the_engine(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        answer = await two.prefill_leg(BODY, {"X-Request-Id": "plain"}, "tx-1")
        assert answer.status == 500
        assert (await call(two.prefill.port, "GET", "/health")).status == 503


async def test_taken_kv_port_ends_the_start(tmp_path: Path) -> None:
    taken = free_block(4)
    async with (
        moriio_engine(tmp_path, "prefill", handshake=taken),
        moriio_engine(tmp_path, "decode", wait=False, handshake=taken) as second,
    ):
        assert await second.ended() == 1
        assert "Address already in use" in second.log.read_text()


@pytest.mark.parametrize("read", [False, True], ids=["write", "read"])
async def test_mixed_traffic_through_a_pair_leaves_nothing_behind(tmp_path: Path, read: bool) -> None:
    """A client that leaves between its legs leaves KV to the defer timeout: nobody else could know."""
    flags, env = ("--disable-uvicorn-access-log", "--max-num-seqs", "32"), {"PDCTL_SIM_DEFER_TIMEOUT_S": "1.5"}
    async with pair(tmp_path, *flags, read=read, env=env) as two:
        turns = asyncio.Semaphore(32)

        async def one_of_many(index: int) -> None:
            async with turns:
                if index % 4 == 3:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(two.complete(f"request {index}", 400), 0.02 + 0.001 * (index % 40))
                elif index % 4 == 2:
                    await two.complete(f"request {index}", 400, stream=True, hang_up_after=2)
                else:
                    answer = await two.complete(f"request {index}", 8, stream=bool(index % 2))
                    assert answer.finish == "length"

        await asyncio.gather(*(one_of_many(index) for index in range(300)))
        await two.decode.idle()
        await two.prefill.idle()
        assert (await metrics(two.decode.port))[LOCAL] == 0


async def _is(port: int, name: str, value: float) -> bool:
    return (await metrics(port)).get(name) == value
