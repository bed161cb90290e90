"""Canaries equal what the router sends, and bad answers are told from good ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pdctl.engines.canary import PairCanary, judge_completion, pair_canary, plain_completion
from pdctl.engines.engine import render
from pdctl.model.deployment import Deployment, Parallel
from pdctl.model.launch import Launch
from pdctl.model.role import Role, TransferMode
from tests.unit.deployments import mori_1p1d, nixl_1p2d, r1_2p3d

NONCE = "c90ce982e6234ce5a3b2d42d6798e947"
P_ZMQ = "host:10.1.0.9,handshake:6301,notify:61005"
D_ZMQ = "host:10.1.0.9,handshake:7301,notify:62005"
FROM_P = {
    "do_remote_prefill": True,
    "do_remote_decode": False,
    "remote_block_ids": [[1, 2]],
    "remote_engine_id": "10.1.0.9:6301",
    "transfer_id": "tx-1",
}


def launches(deployment: Deployment, prefill: Parallel, decode: Parallel) -> tuple[Launch, Launch]:
    """One launch of either role, known to the router by the addresses above."""
    found = []
    for role, shape, zmq in ((Role.PREFILL, prefill, P_ZMQ), (Role.DECODE, decode, D_ZMQ)):
        instance = next(each for each in deployment.instances if each.role is role)
        launch = render(deployment, instance, dict.fromkeys(instance.nodes, 1))
        known = replace(launch.registration, dp_size=shape.dp, tp_size=shape.tp, zmq_address=zmq)
        found.append(replace(launch, registration=known))
    return found[0], found[1]


def canary(mode: TransferMode, prefill: Parallel, decode: Parallel) -> PairCanary:
    deployment = mori_1p1d(mode)
    return pair_canary(deployment, *launches(deployment, prefill, decode), nonce=NONCE)


def body(text: str | None = " a", reason: str = "length", params: Any = None) -> str:
    choice = {"index": 0, "text": text, "finish_reason": reason}
    return json.dumps({"id": "cmpl-1", "choices": [choice], "kv_transfer_params": params})


# kv_transfer_params and rank header of both legs, as vllm-router 0.1.17 was seen to send them: (prefill, decode).
P_BASE = {"do_remote_decode": True, "do_remote_prefill": False, "remote_engine_id": None, "remote_block_ids": None}
P_MORI = {**P_BASE, "transfer_id": f"tx-{NONCE}"}
D_WRITE = {
    "do_remote_decode": False,
    "do_remote_prefill": True,
    "remote_engine_id": None,
    "remote_block_ids": None,
    "transfer_id": f"tx-{NONCE}",
}
MEASURED: list[tuple[TransferMode, Parallel, Parallel, dict[str, Any], dict[str, Any], str | None, str | None]] = [
    (
        TransferMode.READ,
        Parallel(tp=4),
        Parallel(dp=2),
        {**P_MORI, "remote_dp_size": 2},
        {**FROM_P, "remote_dp_size": 1},
        None,
        "0",
    ),
    (
        TransferMode.READ,
        Parallel(dp=2, tp=4),
        Parallel(),
        {**P_MORI, "remote_dp_size": 1},
        {**FROM_P, "remote_dp_size": 2},
        "0",
        None,
    ),
    (
        TransferMode.WRITE,
        Parallel(tp=4),
        Parallel(dp=2),
        {**P_MORI, "remote_dp_size": 2, "remote_tp_size": 1, "remote_dp_rank": 0},
        {**D_WRITE, "remote_dp_size": 1, "remote_tp_size": 4},
        None,
        "0",
    ),
    (
        TransferMode.WRITE,
        Parallel(dp=2, tp=4),
        Parallel(),
        {**P_MORI, "remote_dp_size": 1, "remote_tp_size": 1},
        {**D_WRITE, "remote_dp_size": 2, "remote_tp_size": 4, "remote_dp_rank": 0},
        "0",
        None,
    ),
]


@pytest.mark.parametrize(("mode", "prefill", "decode", "to_p", "to_d", "p_rank", "d_rank"), MEASURED)
def test_moriio_legs_equal_the_routers(
    mode: TransferMode,
    prefill: Parallel,
    decode: Parallel,
    to_p: dict[str, Any],
    to_d: dict[str, Any],
    p_rank: str | None,
    d_rank: str | None,
) -> None:
    made = canary(mode, prefill, decode)
    assert made.serial is (mode is TransferMode.READ)
    first = made.prefill_leg
    second = made.decode_leg(body(params=FROM_P) if made.serial else None)
    assert first.body["kv_transfer_params"] == to_p
    assert second.body["kv_transfer_params"] == to_d
    assert (first.headers.get("x-data-parallel-rank"), second.headers.get("x-data-parallel-rank")) == (p_rank, d_rank)
    request_id = f"___prefill_addr_{P_ZMQ}___decode_addr_{D_ZMQ}_{NONCE}"
    assert first.headers["x-request-id"] == second.headers["x-request-id"] == request_id
    assert (first.body["max_tokens"], first.body["min_tokens"], first.body["stream"]) == (1, 1, False)
    assert second.body["max_tokens"] > 1
    assert "min_tokens" not in second.body
    assert first.body["prompt"] == second.body["prompt"]
    assert first.path == second.path == "/v1/completions"


def test_nixl_legs_equal_the_routers() -> None:
    deployment = nixl_1p2d()
    made = pair_canary(deployment, *launches(deployment, Parallel(dp=2), Parallel(dp=2)), nonce=NONCE)
    assert made.serial
    assert made.prefill_leg.body["kv_transfer_params"] == {**P_BASE, "remote_host": None, "remote_port": None}
    answered = {"remote_block_ids": [[1, 2]], "remote_host": "10.1.0.7", "remote_port": 5601}
    second = made.decode_leg(body(params=answered))
    assert second.body["kv_transfer_params"] == answered
    assert "x-data-parallel-rank" not in {**made.prefill_leg.headers, **second.headers}


def test_no_two_canaries_share_a_transfer_or_a_prompt() -> None:
    deployment = r1_2p3d()
    pair = launches(deployment, Parallel(dp=8), Parallel(dp=8))
    one, other = pair_canary(deployment, *pair), pair_canary(deployment, *pair)
    assert one.pair.transfer_id != other.pair.transfer_id
    assert one.prefill_leg.body["prompt"] != other.prefill_leg.body["prompt"]
    assert one.prefill_leg.body["model"] == "deepseek-ai/DeepSeek-R1"
    assert plain_completion("m").body["prompt"] != plain_completion("m").body["prompt"]


GOOD = (200, body(params=FROM_P))


@pytest.mark.parametrize("mode", list(TransferMode))
def test_a_pair_that_works(mode: TransferMode) -> None:
    verdict = canary(mode, Parallel(), Parallel()).judge(GOOD, (200, body()))
    assert verdict.ok
    assert verdict.reason == ""


@pytest.mark.parametrize(
    ("prefill", "decode", "reason"),
    [
        ((500, '{"error": {"message": "no\\nroom"}}'), None, "prefill answered 500: no room"),
        ((404, '{"error": "no such model"}'), None, "prefill answered 404: no such model"),
        ((502, ""), None, "prefill answered 502: empty body"),
        ((200, "<html>"), None, "prefill answered 200 without a completion: <html>"),
        ((200, "[]"), None, "prefill answered 200 without a completion: []"),
        ((200, '{"choices": []}'), None, "prefill answered 200 without a completion"),
        ((200, body(reason="abort", params=FROM_P)), None, "prefill ended with finish_reason 'abort'"),
        ((200, body(reason="stop", params=FROM_P)), (200, body()), "so it handed no KV over"),
        ((200, body()), (200, body()), "prefill answered without kv_transfer_params"),
        (GOOD, None, "the decode leg was not sent"),
        (GOOD, (200, body(reason="abort")), "decode ended with finish_reason 'abort'"),
        (GOOD, (200, body(text="")), "decode answered with empty text"),
        (GOOD, (200, body(text=None)), "decode answered with empty text"),
        (GOOD, (500, "upstream\nfailed"), "decode answered 500: upstream failed"),
    ],
)
def test_a_pair_that_does_not_work(prefill: tuple[int, str], decode: tuple[int, str] | None, reason: str) -> None:
    verdict = canary(TransferMode.READ, Parallel(), Parallel()).judge(prefill, decode)
    assert not verdict.ok
    assert reason in verdict.reason
    assert "\n" not in verdict.reason


def test_a_write_prefill_need_not_answer_with_parameters() -> None:
    made = canary(TransferMode.WRITE, Parallel(), Parallel())
    assert made.judge((200, body()), (200, body())).ok


@pytest.mark.parametrize(
    ("status", "text", "ok"),
    [
        (200, body(), True),
        (200, body(reason="stop"), True),
        (200, body(reason="abort"), False),
        (200, body(text=""), False),
        (503, "Waiting for discovered workers: 0 prefill, 0 decode", False),
    ],
)
def test_a_completion_through_the_router(status: int, text: str, ok: bool) -> None:
    verdict = judge_completion(status, text)
    assert verdict.ok is ok
    assert bool(verdict.reason) is not ok
