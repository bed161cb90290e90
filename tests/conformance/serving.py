"""Checks of an engine that serves and goes on serving."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pdctl.engines.probes import parse_load, parse_version
from tests.conformance.metric_facts import families, recorded
from tests.waiting import wait_until
from tests.wire.sim_client import Answer, call, complete, metrics
from tests.wire.sim_engines import Engine

PROMPT = [20, 30, 40, 50]

# Keys that clients of ours, or the router, read. Real vLLM has more, and they vary with the version.
ANSWER = {"id", "object", "created", "model", "choices", "usage", "kv_transfer_params"}
CHOICE = {"index", "text", "logprobs", "finish_reason", "stop_reason"}
USAGE = {"prompt_tokens", "total_tokens", "completion_tokens"}
CHUNK = {"id", "object", "created", "model", "choices"}
MODEL_CARD = {"id", "object", "created", "owned_by", "root", "max_model_len"}
HANDED_OVER = {
    "do_remote_prefill",
    "do_remote_decode",
    "remote_block_ids",
    "remote_engine_id",
    "remote_request_id",
    "remote_host",
    "remote_port",
    "tp_size",
}
ABORTED = 'vllm:request_success_total{engine="0",finished_reason="abort"}'
ESTIMATES = "vllm:estimated_"
"""What vLLM estimates of its own arithmetic; the simulated engine does none."""


async def answers_on_its_paths(one: Engine) -> None:
    for path in ("/health", "/ping"):
        seen = await call(one.port, "GET", path)
        assert (seen.status, seen.body) == (200, b""), path
    version = await call(one.port, "GET", "/version")
    assert parse_version(version.body) is not None
    (card,) = (await call(one.port, "GET", "/v1/models")).json["data"]
    assert set(card) >= MODEL_CARD
    assert (card["id"], card["object"], card["owned_by"]) == ("tiny", "model", "vllm")
    assert (await call(one.port, "GET", "/load")).json == {"server_load": 0}
    for path in ("/is_sleeping", "/server_info", "/nothing-here"):
        seen = await call(one.port, "GET", path)
        assert (seen.status, seen.json) == (404, {"detail": "Not Found"}), path
    assert (await call(one.port, "GET", "/v1/completions")).status == 405


async def buffered_and_streamed_answers_say_the_same(one: Engine) -> None:
    buffered = await complete(one.port, PROMPT, 6, temperature=0)
    assert buffered.headers["content-type"] == "application/json"
    assert set(buffered.json) >= ANSWER
    (choice,) = buffered.json["choices"]
    assert set(choice) >= CHOICE
    assert (choice["finish_reason"], choice["stop_reason"]) == ("length", None)
    assert choice["text"].strip()
    usage = {key: buffered.json["usage"][key] for key in USAGE}
    assert usage == {"prompt_tokens": 4, "total_tokens": 10, "completion_tokens": 6}
    assert buffered.json["kv_transfer_params"] is None

    streamed = await complete(one.port, PROMPT, 6, temperature=0, stream=True, stream_options={"include_usage": True})
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"
    *tokens, used = streamed.chunks
    assert all(set(chunk) >= CHUNK and chunk["object"] == "text_completion" for chunk in streamed.chunks)
    assert len({chunk["id"] for chunk in streamed.chunks}) == 1
    assert [chunk["choices"][0]["finish_reason"] for chunk in tokens] == [None] * (len(tokens) - 1) + ["length"]
    assert (used["choices"], {key: used["usage"][key] for key in USAGE}) == ([], usage)
    assert streamed.done
    assert streamed.text == choice["text"]


async def chat_opens_with_the_role(one: Engine) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "ignore_eos": True}
    streamed = await call(one.port, "POST", "/v1/chat/completions", {**body, "stream": True})
    delta = streamed.chunks[0]["choices"][0]["delta"]
    assert (delta["role"], delta["content"]) == ("assistant", "")
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in streamed.chunks)
    assert (streamed.finish, streamed.done) == ("length", True)
    buffered = await call(one.port, "POST", "/v1/chat/completions", body)
    assert (buffered.json["object"], buffered.finish) == ("chat.completion", "length")
    assert buffered.json["usage"]["completion_tokens"] == 3


async def the_request_id_is_the_clients(one: Engine) -> None:
    seen = await complete(one.port, PROMPT, 1, headers={"X-Request-Id": "abc-1"})
    assert seen.json["id"] == "cmpl-abc-1"


async def refusals_are_json_errors(one: Engine) -> None:
    unknown = await complete(one.port, PROMPT, 1, model="nope")
    assert (unknown.status, unknown.json["error"]) == (
        404,
        {
            "message": "The model `nope` does not exist. Valid aliases: tiny.",
            "type": "NotFoundError",
            "param": "model",
            "code": 404,
        },
    )
    for refused in (
        await complete(one.port, PROMPT, 2000),
        await call(one.port, "POST", "/v1/completions", b"{"),
    ):
        assert (refused.status, refused.json["error"]["code"]) == (400, 400), refused.body
        assert {"message", "type", "param", "code"} == set(refused.json["error"])
    streamed = await complete(one.port, PROMPT, 1, model="nope", stream=True)
    assert (streamed.status, streamed.headers["content-type"]) == (404, "application/json")


async def metrics_are_vllms(one: Engine) -> None:
    await complete(one.port, PROMPT, 2)
    answer = await call(one.port, "GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    seen, facts = families(answer.body.decode()), recorded()
    missing = {name for name in set(facts) - set(seen) if not name.startswith(ESTIMATES)}
    assert not missing
    assert not set(seen) - set(facts)
    for name in set(seen) & set(facts):
        assert (name, seen[name].type, seen[name].buckets) == (name, facts[name].type, facts[name].buckets)
        if name == "vllm:cache_config_info":
            assert seen[name].labels <= facts[name].labels
        else:
            assert (name, seen[name].labels) == (name, facts[name].labels)


async def metrics_count_what_was_served(one: Engine) -> None:
    before = await metrics(one.port)
    await complete(one.port, list(range(100, 164)), 5)
    after = await metrics(one.port)
    engine = '{engine="0"'
    assert {
        name: after[f"{name}"] - before[f"{name}"]
        for name in (
            f"vllm:prompt_tokens_total{engine}}}",
            f"vllm:generation_tokens_total{engine}}}",
            f'vllm:request_success_total{engine},finished_reason="length"}}',
            f'vllm:prompt_tokens_by_source_total{engine},source="local_compute"}}',
            f'vllm:prompt_tokens_by_source_total{engine},source="external_kv_transfer"}}',
            f"vllm:time_to_first_token_seconds_count{engine}}}",
            f"vllm:e2e_request_latency_seconds_count{engine}}}",
        )
    } == {
        f"vllm:prompt_tokens_total{engine}}}": 64,
        f"vllm:generation_tokens_total{engine}}}": 5,
        f'vllm:request_success_total{engine},finished_reason="length"}}': 1,
        f'vllm:prompt_tokens_by_source_total{engine},source="local_compute"}}': 64,
        f'vllm:prompt_tokens_by_source_total{engine},source="external_kv_transfer"}}': 0,
        f"vllm:time_to_first_token_seconds_count{engine}}}": 1,
        f"vllm:e2e_request_latency_seconds_count{engine}}}": 1,
    }


async def a_client_that_hangs_up_frees_its_place(one: Engine) -> None:
    await complete(one.port, PROMPT, 900, stream=True, hang_up_after=3)

    async def idle() -> bool:
        return await _load(one) is False

    await wait_until(idle, 20.0, what="nothing runs, waits or holds KV", poll_s=0.1)
    assert (await metrics(one.port))[ABORTED] == 0, "such requests are in no count of ended ones"


async def a_prefill_leg_says_where_its_kv_is(one: Engine) -> None:
    params = {"do_remote_decode": True, "do_remote_prefill": False, "remote_engine_id": None}
    answer = await complete(
        one.port, list(range(200, 264)), 1, min_tokens=1, kv_transfer_params=params, headers={"X-Request-Id": "leg"}
    )
    found: dict[str, Any] = answer.json["kv_transfer_params"]
    assert set(found) >= HANDED_OVER
    assert (found["do_remote_prefill"], found["do_remote_decode"]) == (True, False)
    assert found["remote_request_id"].startswith("cmpl-leg-0-")
    (blocks,) = found["remote_block_ids"]
    assert len(blocks) == 2, "64 tokens are two blocks of 32"
    assert await _load(one) is True, "its KV is held until the decode has pulled it"


async def eight_streams_run_side_by_side(one: Engine) -> None:
    answers: list[Answer] = await asyncio.gather(
        *(complete(one.port, [20 + n, 30, 40], 40, stream=True) for n in range(8))
    )
    assert [(answer.status, answer.finish, answer.done) for answer in answers] == [(200, "length", True)] * 8


async def _load(one: Engine) -> bool | None:
    answer = await call(one.port, "GET", "/metrics")
    return parse_load(answer.body.decode()).busy


CHECKS: tuple[Callable[[Engine], Awaitable[None]], ...] = (
    answers_on_its_paths,
    buffered_and_streamed_answers_say_the_same,
    chat_opens_with_the_role,
    the_request_id_is_the_clients,
    refusals_are_json_errors,
    metrics_are_vllms,
    metrics_count_what_was_served,
    a_client_that_hangs_up_frees_its_place,
    eight_streams_run_side_by_side,
    a_prefill_leg_says_where_its_kv_is,
)
