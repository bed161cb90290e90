"""The simulated engine as a process: what vLLM's HTTP surface, metrics and shutdown look like from outside."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.waiting import patient, wait_until
from tests.wire.sim_client import Answer, call, complete, metrics, more_tokens
from tests.wire.sim_engines import Engine, engine

SLOW = {"PDCTL_SIM_PROFILE": "laptop"}  # 10 ms a token: time to look while it streams


async def test_stream_is_framed_as_vllm_frames_it(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        streamed = await complete(one.port, tokens=5, stream=True, stream_options={"include_usage": True})
        buffered = await complete(one.port, tokens=5)
        chat = await call(
            one.port,
            "POST",
            "/v1/chat/completions",
            {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "stream": True},
        )
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"
    *tokens, last_token, used = streamed.chunks
    assert [chunk["choices"][0]["finish_reason"] for chunk in tokens] == [None] * 4
    assert last_token["choices"][0]["finish_reason"] == "length"
    assert used["choices"] == [] and used["usage"] == {"prompt_tokens": 2, "total_tokens": 7, "completion_tokens": 5}
    assert streamed.done
    assert buffered.json["choices"][0]["text"] == streamed.text
    assert buffered.json["kv_transfer_params"] is None
    assert chat.chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert (len(chat.chunks), chat.finish, chat.done) == (4, "length", True)


async def test_requests_that_vllm_refuses_are_refused_in_its_words(tmp_path: Path) -> None:
    async with engine(tmp_path, "--max-model-len", "64", "--data-parallel-size", "2") as one:
        unknown = await complete(one.port, model="nope")
        too_long = await complete(one.port, tokens=63)
        no_json = await call(one.port, "POST", "/v1/completions", b"{")
        several = await complete(one.port, n=2)
        no_rank = await complete(one.port, headers={"X-data-parallel-rank": "2"})
        dev_only = await call(one.port, "POST", "/pause")
        wrong_method = await call(one.port, "GET", "/v1/completions")
    assert unknown.json["error"] == {
        "message": "The model `nope` does not exist. Valid aliases: tiny.",
        "type": "NotFoundError",
        "param": "model",
        "code": 404,
    }
    assert (too_long.status, too_long.json["error"]["type"]) == (400, "BadRequestError")
    assert "maximum context length is 64 tokens" in too_long.json["error"]["message"]
    statuses = [answer.status for answer in (no_json, several, no_rank, dev_only, wrong_method)]
    assert statuses == [400, 400, 400, 404, 405]


async def test_metrics_carry_real_names_per_rank(tmp_path: Path) -> None:
    async with engine(tmp_path, "--data-parallel-size", "2") as one:
        for rank in ("0", "1", "1"):
            await complete(one.port, tokens=4, headers={"X-data-parallel-rank": rank})
        seen = await metrics(one.port)
    assert seen['vllm:generation_tokens_total{engine="0"}'] == 4
    assert seen['vllm:generation_tokens_total{engine="1"}'] == 8
    assert seen['vllm:request_success_total{engine="1",finished_reason="length"}'] == 2
    assert seen['vllm:time_to_first_token_seconds_bucket{engine="1",le="2560.0"}'] == 2
    assert seen['vllm:inter_token_latency_seconds_count{engine="1"}'] == 6
    assert seen['vllm:iteration_tokens_total_count{engine="0"}'] == 4
    assert seen['vllm:iteration_tokens_total_created{engine="0"}'] > 1e9
    assert seen['vllm:prompt_tokens_by_source_total{engine="1",source="local_compute"}'] == 4
    assert seen['vllm:num_requests_waiting_by_reason{engine="0",reason="deferred"}'] == 0


async def test_port_stays_closed_until_the_startup_time_has_passed(tmp_path: Path) -> None:
    async with engine(tmp_path, env={"PDCTL_SIM_STARTUP_S": "0.8"}, wait=False) as one:
        begun = psutil.Process(one.process.pid).create_time()
        with pytest.raises(ConnectionRefusedError):
            await call(one.port, "GET", "/health")
        await one.ready()
        took_s = time.time() - begun
        assert "Application startup complete." in one.log.read_text()
    assert 0.75 <= took_s < patient(2.0)


async def test_start_costs_less_than_half_a_cpu_second(tmp_path: Path) -> None:
    """The best of up to three: what shares a core's caches with a neighbour costs more than its own work."""
    costs_s: list[float] = []
    while len(costs_s) < 3 and min(costs_s, default=1.0) >= 0.5:
        async with engine(tmp_path) as one:
            times = psutil.Process(one.process.pid).cpu_times()
        costs_s.append(times.user + times.system)
    assert min(costs_s) < 0.5


async def test_prefills_queue_and_colocated_prefills_stall_decodes(tmp_path: Path) -> None:
    """Chunk budget 1000, 15 ms + 20 us a token: 4000 tokens are four steps of 45 ms, each with a decode in it."""
    async with engine(tmp_path, "--max-num-batched-tokens", "1001", env=SLOW) as one:
        stream = asyncio.create_task(complete(one.port, tokens=40, stream=True))
        await asyncio.sleep(0.1)
        first, second = await asyncio.gather(
            *(complete(one.port, prompt=[seed] * 4000, tokens=1, stream=True) for seed in (1, 2))
        )
        gaps = _gaps(await stream)
        seen = await metrics(one.port)
    assert abs(first.events[0][0] - second.events[0][0]) > 0.12  # one after the other, not side by side
    assert sum(1 for gap in gaps if gap > 0.03) >= 7
    assert seen['vllm:request_success_total{engine="0",finished_reason="length"}'] == 3


async def test_pace_does_not_drift(tmp_path: Path) -> None:
    """10 ms a token over a second, although every single wake-up is late; the best of five, for busy machines."""
    errors_s: list[float] = []
    async with engine(tmp_path, env=SLOW) as one:
        while len(errors_s) < 5 and min(errors_s, default=1.0) >= 0.0003:
            gaps = _gaps(await complete(one.port, tokens=101, stream=True))
            errors_s.append(abs(statistics.fmean(gaps) - 0.010))
    assert min(errors_s) < 0.0003


async def test_idle_engine_does_not_spin(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        await complete(one.port)
        process = psutil.Process(one.process.pid)
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(0.5)
        assert sum(process.cpu_times()[:2]) - before < 0.05


async def test_client_that_leaves_frees_its_request_and_blocks(tmp_path: Path) -> None:
    async with engine(tmp_path, env=SLOW) as one:
        cut = await complete(one.port, tokens=1000, stream=True, hang_up_after=3)
        await complete(one.port, tokens=1000, hang_up_after=0)
        await one.idle()
        seen = await metrics(one.port)
    assert len(cut.events) >= 3
    assert seen['vllm:request_success_total{engine="0",finished_reason="abort"}'] == 0, "vLLM does not count them"


async def test_sigterm_without_drain_cuts_streams_with_abort_and_done(tmp_path: Path) -> None:
    async with engine(tmp_path, env=SLOW) as one:
        streams = [asyncio.create_task(complete(one.port, tokens=1000, stream=True)) for _ in range(3)]
        buffered = asyncio.create_task(complete(one.port, tokens=1000))
        await _running(one, 4)
        await more_tokens(one.port, 12)  # a stream that is aborted before its first token ends with [DONE] alone
        one.terminate()
        answers = [*await asyncio.gather(*streams), await buffered]
        assert await one.ended() == 0
    assert [(answer.status, answer.finish) for answer in answers] == [(200, "abort")] * 4
    assert all(answer.done for answer in answers[:3])


async def test_drain_finishes_streams_and_answers_newcomers_with_abort(tmp_path: Path) -> None:
    async with engine(tmp_path, "--shutdown-timeout", "20", env=SLOW) as one:
        stream = asyncio.create_task(complete(one.port, tokens=100, stream=True))
        await _running(one, 1)
        one.terminate()
        await wait_until(lambda: "draining in-flight requests count=1 timeout=20s" in one.log.read_text(), 5)
        one.terminate()  # a second signal is ignored
        health = await call(one.port, "GET", "/health")
        newcomer, buffered = await complete(one.port, stream=True), await complete(one.port)
        whole = await stream
        assert await one.ended() == 0
    assert health.status == 200
    assert (newcomer.status, newcomer.chunks, newcomer.done) == (200, [], True)
    assert (buffered.status, buffered.finish, buffered.text) == (200, "abort", "")
    assert (whole.finish, len(whole.chunks)) == ("length", 100)


async def test_drain_that_takes_too_long_is_cut(tmp_path: Path) -> None:
    async with engine(tmp_path, "--shutdown-timeout", "0.3", env=SLOW) as one:
        stream = asyncio.create_task(complete(one.port, tokens=1000, stream=True))
        await _running(one, 1)
        one.terminate()
        assert (await stream).finish == "abort"
        assert await one.ended() == 0


async def test_unknown_flag_exits_2_and_impossible_settings_exit_1(tmp_path: Path) -> None:
    async with engine(tmp_path, "--max-num-sequences", "4", wait=False) as one:
        assert await one.ended() == 2
        assert "unrecognized arguments: --max-num-sequences" in one.log.read_text()
    moriio = '{"kv_connector": "MoRIIOConnector", "kv_role": "kv_producer"}'
    async with engine(tmp_path, "--kv-transfer-config", moriio, wait=False) as one:
        assert await one.ended() == 1
        assert "KeyError: 'http_port'" in one.log.read_text()


async def test_taken_http_port_exits_1(tmp_path: Path) -> None:
    async with engine(tmp_path) as first, engine(tmp_path, port=first.port, wait=False) as second:
        assert await second.ended() == 1
        assert "Address already in use" in second.log.read_text()


async def test_headless_part_opens_no_port_and_ends_on_sigterm(tmp_path: Path) -> None:
    async with engine(tmp_path, "--headless", wait=False) as one:
        await wait_until(lambda: "headless" in one.log.read_text(), 5)
        assert not psutil.Process(one.process.pid).net_connections()
        one.terminate()
        assert await one.ended() == 0


async def test_fault_hang_stops_progress_but_not_health(tmp_path: Path) -> None:
    async with engine(tmp_path, env=SLOW) as one:
        stream = asyncio.create_task(complete(one.port, tokens=30, stream=True))
        await _running(one, 1)
        await one.fault("hang")
        before = await _steps(one)
        await asyncio.sleep(0.1)
        assert await _steps(one) <= before + 1
        assert (await call(one.port, "GET", "/health")).status == 200
        await call(one.port, "DELETE", "/sim/faults")
        assert (await stream).finish == "length"


async def test_fault_errors500_and_corrupt(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        right = (await complete(one.port)).text
        await one.fault("errors500")
        assert (await complete(one.port)).status == 500
        await one.fault("errors500", active=False)
        await one.fault("corrupt")
        assert (await complete(one.port)).text != right
        unknown = await call(one.port, "POST", "/sim/faults", {"fault": "gremlins"})
    assert unknown.status == 400


async def test_fault_crash_leaves_at_once(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await one.fault("crash")
        assert await one.ended(2) == 1


async def test_fault_exit_at_start_prints_a_traceback(tmp_path: Path) -> None:
    async with engine(tmp_path, env={"PDCTL_SIM_FAULTS": "exit_at_start"}, wait=False) as one:
        assert await one.ended() == 1
        text = one.log.read_text()
    assert "Traceback (most recent call last):" in text and "RuntimeError: Engine core initialization failed" in text


async def test_fault_never_ready_and_ignore_sigterm(tmp_path: Path) -> None:
    async with engine(tmp_path, env={"PDCTL_SIM_FAULTS": "never_ready"}, wait=False) as one:
        await wait_until(lambda: "Starting to load model" in one.log.read_text(), 5)
        with pytest.raises(ConnectionRefusedError):
            await call(one.port, "GET", "/health")
        one.terminate()
        assert await one.ended() == 0
    async with engine(tmp_path, env={"PDCTL_SIM_FAULTS": "ignore_sigterm"}) as one:
        one.terminate()
        assert (await complete(one.port, tokens=50)).finish == "length"
        assert one.process.poll() is None


async def test_killed_worker_takes_the_engine_with_it(tmp_path: Path) -> None:
    async with engine(tmp_path, env={**SLOW, "PDCTL_SIM_WORKERS": "1"}) as one:
        stream = asyncio.create_task(complete(one.port, tokens=1000, stream=True))
        await _running(one, 1)
        (worker,) = psutil.Process(one.process.pid).children()
        assert worker.name() == "VLLM::Worker"
        worker.kill()
        cut = await stream
        assert (await call(one.port, "GET", "/health")).status == 503
        assert (await complete(one.port)).status == 500
        assert await one.ended() == 0
    assert cut.status == 200 and cut.done
    assert cut.chunks[-1]["error"]["message"].startswith("EngineCore encountered an issue.")


async def test_stubborn_worker_outlives_its_killed_leader_and_sigterm(tmp_path: Path) -> None:
    async with engine(tmp_path, env={"PDCTL_SIM_WORKERS": "1", "PDCTL_SIM_WORKER_STUBBORN": "1"}) as one:
        (worker,) = psutil.Process(one.process.pid).children()
        try:
            one.process.kill()
            await one.ended()
            worker.terminate()
            await asyncio.sleep(0.1)
            assert worker.is_running() and os.getsid(worker.pid) == worker.pid
        finally:
            worker.kill()


async def test_vram_is_held_while_the_engine_lives(tmp_path: Path) -> None:
    vram = tmp_path / "vram"
    held = {"PDCTL_SIM_VRAM_DIR": str(vram), "HIP_VISIBLE_DEVICES": "2,3"}
    async with engine(tmp_path, "--gpu-memory-utilization", "0.5", env=held) as one:
        files = sorted(vram.iterdir())
        assert [file.name for file in files] == [f"2.{one.process.pid}", f"3.{one.process.pid}"]
        assert files[0].read_text() == f"{96 * 1024**3} {one.process.pid}\n"
        one.terminate()
        await one.ended()
    assert not list(vram.iterdir())
    async with engine(tmp_path, env={**held, "PDCTL_SIM_FAULTS": "vram_held"}) as one:
        one.terminate()
        await one.ended()
    assert [file.name for file in sorted(vram.iterdir())] == [f"2.{one.process.pid}", f"3.{one.process.pid}"]


async def test_request_log_tells_the_truth(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    async with engine(tmp_path, env={"PDCTL_SIM_REQUEST_LOG": str(log)}) as one:
        await complete(one.port, tokens=5, headers={"X-Request-Id": "r1"})
        await complete(one.port, tokens=5000, stream=True, hang_up_after=2, headers={"X-Request-Id": "r2"})
        await one.idle()
    first, second = (json.loads(line) for line in log.read_text().splitlines())
    assert (first["request_id"], first["outcome"], first["output_tokens"], first["leg"]) == ("r1", "length", 5, "local")
    assert first["arrival"] <= first["scheduled"] < first["first_token"] < first["last_token"] <= first["finished"]
    assert first["itl_mean_s"] == pytest.approx(0.002, rel=0.5)
    assert (second["request_id"], second["outcome"]) == ("r2", "abort")


async def test_dev_mode_pauses_and_resumes(tmp_path: Path) -> None:
    async with engine(tmp_path, env={"VLLM_SERVER_DEV_MODE": "1"}) as one:
        assert (await call(one.port, "POST", "/pause?mode=abort")).status == 200
        assert (await complete(one.port)).status == 503
        assert (await call(one.port, "GET", "/is_paused")).json == {"is_paused": True}
        await call(one.port, "POST", "/resume")
        assert (await complete(one.port)).status == 200


async def test_api_key_guards_only_v1(tmp_path: Path) -> None:
    async with engine(tmp_path, "--api-key", "secret") as one:
        assert (await complete(one.port)).status == 401
        assert (await complete(one.port, headers={"Authorization": "Bearer secret"})).status == 200
        assert (await call(one.port, "GET", "/metrics")).status == 200


async def test_load_counts_only_when_tracked(tmp_path: Path) -> None:
    for flags, expected in (((), 0), (("--enable-server-load-tracking",), 1)):
        async with engine(tmp_path, *flags, env=SLOW) as one:
            stream = asyncio.create_task(complete(one.port, tokens=1000, stream=True, hang_up_after=50))
            await _running(one, 1)
            assert (await call(one.port, "GET", "/load")).json == {"server_load": expected}
            await stream


async def test_thousands_of_events_per_second(tmp_path: Path) -> None:
    """128 streams at 2 ms a token would be 64,000 events/s; whatever the machine gives, it must be thousands."""
    async with engine(tmp_path, "--disable-uvicorn-access-log") as one:
        begun = time.monotonic()
        streams = await asyncio.gather(*(complete(one.port, tokens=100, stream=True) for _ in range(128)))
        rate = sum(len(stream.events) for stream in streams) / (time.monotonic() - begun)
    assert all(stream.done and len(stream.chunks) == 100 for stream in streams)
    assert rate > 2000


async def test_a_thousand_mixed_requests_leave_nothing_behind(tmp_path: Path) -> None:
    """Buffered, streamed, aborted and disconnected: no block, no request, and the idle ITL of a fresh engine."""
    async with engine(tmp_path, "--disable-uvicorn-access-log", "--max-num-seqs", "64") as one:
        fresh_s = await _idle_itl_s(one)
        turns = asyncio.Semaphore(64)

        async def one_of_many(index: int) -> None:
            async with turns:
                prompt = f"request number {index}"
                match index % 4:
                    case 0:
                        assert (await complete(one.port, prompt, 8)).finish == "length"
                    case 1:
                        assert (await complete(one.port, prompt, 8, stream=True)).done
                    case 2:
                        await complete(one.port, prompt, 500, stream=True, hang_up_after=2)
                    case _:
                        await complete(one.port, prompt, 500, hang_up_after=0)

        await asyncio.gather(*(one_of_many(index) for index in range(1000)))
        await one.idle()
        used_s = await _idle_itl_s(one)
    assert used_s == pytest.approx(fresh_s, rel=0.05)


async def _idle_itl_s(one: Engine) -> float:
    """The usual gap between 300 tokens of a lone stream; the least of three, so that a busy moment does not count."""
    return min([statistics.median(_gaps(await complete(one.port, tokens=300, stream=True))) for _ in range(3)])


def _gaps(stream: Answer) -> list[float]:
    times = [at for at, data in stream.events if data != "[DONE]"]
    return [later - earlier for earlier, later in pairwise(times)]


async def _running(one: Engine, count: int) -> None:
    async def enough() -> bool:
        return (await metrics(one.port))['vllm:num_requests_running{engine="0"}'] == count

    await wait_until(enough, 5, what=f"{count} requests run")


async def _steps(one: Engine) -> float:
    return (await metrics(one.port))['vllm:iteration_tokens_total_count{engine="0"}']
