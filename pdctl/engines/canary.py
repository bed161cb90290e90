"""The canary: one tiny completion through a given prefill x decode pair, sent as the router would send it, and judged.

Requests as vllm-router 0.1.17 was measured to send them. This says what to send and what the answers mean; `control`
sends. A pair is `serial` where decode's request is made from the prefill's answer, else both legs are sent at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import uuid4

from pdctl.engines.connectors import connector_for
from pdctl.engines.connectors.base import KvConnector, Pair, Params
from pdctl.model.deployment import Deployment
from pdctl.model.launch import Launch, Registration
from pdctl.model.role import Role

PATH: Final = "/v1/completions"
OUTPUT_TOKENS: Final = 4
_COUNTED: Final = " ".join(str(number) for number in range(1, 33))

Answered: TypeAlias = tuple[int, str]
"""An HTTP answer: status and body."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One HTTP POST to one engine, or to the router; `body` is a JSON object."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CanaryVerdict:
    """Whether it works; `reason` is one line, empty when it does. `text_only`: nothing else is wrong than the text."""

    ok: bool
    reason: str = ""
    text_only: bool = False


@dataclass(frozen=True, slots=True)
class PairCanary:
    """The two legs for one pair. `nonce` is part of the request id and of the transfer id.

    `question` "": the prompt is the nonce's own. Else it is the same for all canaries with this question, so that
    their answers can be compared; the nonce then keeps prefix caches apart (`cache_salt`, vLLM >= 0.9), as KV that lies
    on decode already would prove nothing.
    """

    connector: KvConnector
    pair: Pair
    model: str
    nonce: str
    question: str = ""

    @property
    def serial(self) -> bool:
        """Whether the prefill's answer is needed before decode's leg can be made."""
        return self.connector.prefill_first(self.pair.mode)

    @property
    def prefill_leg(self) -> Leg:
        """What the prefill instance gets: one token, exactly, since KV is handed over only at a length stop."""
        leg = self._leg(self.pair.prefill, self.pair.prefill_rank, 1, self.connector.prefill_params(self.pair))
        return Leg(leg.path, leg.headers, {**leg.body, "min_tokens": 1})

    def decode_leg(self, answered: str | None) -> Leg:
        """What the decode instance gets; `answered` is the body of the prefill's answer where the pair is serial."""
        given = None if answered is None else _object(answered).get("kv_transfer_params")
        params = self.connector.decode_params(self.pair, given if isinstance(given, dict) else None)
        return self._leg(self.pair.decode, self.pair.decode_rank, OUTPUT_TOKENS, params)

    def judge(self, prefill: Answered, decode: Answered | None) -> CanaryVerdict:
        """Whether KV was computed on one side and used on the other, as far as answers can tell.

        An answer of 200 alone is no proof: an engine that shuts down says 200 with `finish_reason` abort (vLLM 0.33).
        `decode` None: its leg was not sent.
        """
        fault = _fault(*prefill) or self._prefill_fault(prefill[1])
        if fault:
            return CanaryVerdict(False, f"prefill {fault}")
        if decode is None:
            return CanaryVerdict(False, "the decode leg was not sent")
        fault = _fault(*decode)
        text_fault = "" if fault else _text_fault(decode[1])
        said = fault or text_fault
        return CanaryVerdict(not said, said and f"decode {said}", text_only=bool(text_fault))

    def _prefill_fault(self, body: str) -> str:
        reason = _choice(body).get("finish_reason")
        if reason != "length":
            return f"ended with finish_reason {reason!r}, so it handed no KV over"
        if self.serial and not _object(body).get("kv_transfer_params"):
            return "answered without kv_transfer_params: its KV connector is not at work"
        return ""

    def _leg(self, member: Registration, rank: int, tokens: int, params: Params | None) -> Leg:
        request_id = f"___prefill_addr_{self.pair.prefill.zmq_address}___decode_addr_{self.pair.decode.zmq_address}"
        headers = {**_JSON, "x-request-id": f"{request_id}_{self.nonce}"}
        if member.dp_size > 1 and self.connector.pins_rank:
            headers["x-data-parallel-rank"] = str(rank)
        body = {**_body(self.model, self.question or self.nonce, tokens), "kv_transfer_params": params}
        return Leg(PATH, headers, {**body, "cache_salt": self.nonce} if self.question else body)


_JSON: Final = {"content-type": "application/json"}


def pair_canary(
    deployment: Deployment,
    prefill: Launch,
    decode: Launch,
    *,
    nonce: str | None = None,
    question: str = "",
    ranks: tuple[int, int] = (0, 0),
) -> PairCanary:
    """The canary of one prefill and one decode instance, on those DP ranks.

    `nonce` is 32 hex digits, new for every canary (None draws one): an engine that saw a transfer id never takes it
    again, and a cached prompt would prove nothing.
    """
    drawn = nonce or uuid4().hex
    transfer_id = f"tx-{drawn}"
    pair = Pair(deployment.kv.mode, prefill.registration, decode.registration, transfer_id, *ranks)
    connector = connector_for(deployment.kv.connector, Role.PREFILL)
    return PairCanary(connector, pair, deployment.model.name, drawn, question)


def answer_text(body: str) -> str:
    """The generated text of a completion's answer; "" where there is none."""
    text = _choice(body).get("text")
    return text if isinstance(text, str) else ""


def plain_completion(model: str, *, nonce: str | None = None) -> Leg:
    """A tiny completion for the router, or for an engine that serves alone."""
    return Leg(PATH, _JSON, _body(model, nonce or uuid4().hex, OUTPUT_TOKENS))


def judge_completion(status: int, body: str) -> CanaryVerdict:
    """Whether the answer to a `plain_completion` is a whole one."""
    fault = _fault(status, body) or _text_fault(body)
    return CanaryVerdict(not fault, fault)


def _body(model: str, nonce: str, tokens: int) -> dict[str, Any]:
    return {
        "model": model,
        "prompt": f"{nonce} {_COUNTED}",
        "max_tokens": tokens,
        "temperature": 0.0,
        "ignore_eos": True,
        "stream": False,
    }


def _fault(status: int, body: str) -> str:
    """What is wrong with an answer of any leg; empty if nothing is."""
    if status != 200:
        return f"answered {status}: {_error_text(body)}"
    choice = _choice(body)
    if not choice:
        return f"answered 200 without a completion: {_error_text(body)}"
    reason = choice.get("finish_reason")
    return "" if reason in ("length", "stop") else f"ended with finish_reason {reason!r}"


def _text_fault(body: str) -> str:
    return "" if _choice(body).get("text") else "answered with empty text"


def _object(body: str) -> Mapping[str, Any]:
    """The body as a JSON object, empty if it is none."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _choice(body: str) -> Mapping[str, Any]:
    choices = _object(body).get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _error_text(body: str) -> str:
    """The server's own words, on one line."""
    error = _object(body).get("error")
    text = error.get("message") if isinstance(error, dict) else error
    return " ".join((text if isinstance(text, str) else body).split())[:200] or "empty body"
