"""Sends one pair's canary: both legs, straight to the two engines, as the router would."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pdctl.control.ports import Http, NotAnswering
from pdctl.engines.canary import CanaryVerdict, Leg, PairCanary, answer_text
from pdctl.model.launch import Launch


@dataclass(frozen=True, slots=True)
class PairProof:
    """What came of it. `text`: decode's answer, "" where there was none."""

    verdict: CanaryVerdict
    text: str = ""


async def prove_pair(http: Http, canary: PairCanary, prefill: Launch, decode: Launch, *, timeout_s: float) -> PairProof:
    """Send both legs and judge the answers. Where prefill failed, decode is not asked for what will not come."""
    if canary.serial:
        first = await send_leg(http, prefill, canary.prefill_leg, timeout_s=timeout_s)
        if isinstance(first, str):
            return PairProof(CanaryVerdict(False, f"prefill: {first}"))
        if first[0] != 200:
            return PairProof(canary.judge(first, None))
        second = await send_leg(http, decode, canary.decode_leg(first[1]), timeout_s=timeout_s)
    else:
        first, second = await asyncio.gather(
            send_leg(http, prefill, canary.prefill_leg, timeout_s=timeout_s),
            send_leg(http, decode, canary.decode_leg(None), timeout_s=timeout_s),
        )
    if isinstance(first, str):
        return PairProof(CanaryVerdict(False, f"prefill: {first}"))
    if first[0] != 200:  # the cause, whatever became of the decode that waited for its KV
        return PairProof(canary.judge(first, None))
    if isinstance(second, str):
        return PairProof(CanaryVerdict(False, f"decode: {second}"))
    return PairProof(canary.judge(first, second), answer_text(second[1]))


async def send_leg(http: Http, launch: Launch, leg: Leg, *, timeout_s: float) -> tuple[int, str] | str:
    """(status, body), or in words why there is no answer."""
    address, port = launch.endpoint
    try:
        answer = await http.request(
            launch.instance.leader.node,
            "POST",
            f"http://{address}:{port}{leg.path}",
            body=leg.body,
            headers=leg.headers,
            timeout_s=timeout_s,
        )
    except NotAnswering as error:
        return str(error)
    return answer.status, answer.text
