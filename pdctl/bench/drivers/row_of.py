"""An exchange of the load client -> the row of its request. Pure."""

from __future__ import annotations

import itertools
import re

from pdctl.bench.drivers.stream_client import Exchange
from pdctl.bench.row import Row
from pdctl.model.outcome import Outcome
from pdctl.perf.workload import Asked

# `___prefill_addr_{zmq}___decode_addr_{zmq}_{32 hex}` within the id of the answer, where a zmq address is
# `host:10.0.0.1,handshake:6301,notify:61005` (vLLM 0.33 moriio_common.py, vllm-router 0.1.17) or, of older ones and of
# NIXL, `10.0.0.1:6301`.
_PAIR = re.compile(r"___prefill_addr_(?P<prefill>.+?)___decode_addr_(?P<decode>.+?)_[0-9a-f]{32}")
_ZMQ = re.compile(r"host:(?P<host>[^,]+),handshake:(?P<port>\d+)")


def row_of(index: int, asked: Asked, exchange: Exchange, *, begun_s: float, at_s: float) -> Row:
    """`begun_s`: when the point began, by the client's clock. An ok stream's `e2el_s` ends with its last token, as that
    of `vllm bench serve` does; else it ends when the answer, or the wait for it, did."""
    reply, verdict = exchange.reply, exchange.verdict
    times = reply.answer.token_times_s
    ok = verdict.outcome is Outcome.OK
    ended_s = times[-1] if ok and times else exchange.ended_s
    prefill, decode = pair_of(reply.answer.request_id)
    first_byte_s = reply.first_byte_s
    return Row(
        index=index,
        request_id=reply.answer.request_id,
        at_s=at_s,
        sent_s=exchange.sent_s - begun_s,
        isl=asked.isl,
        osl=asked.osl,
        outcome=verdict.outcome,
        ttft_s=times[0] - exchange.sent_s if times else None,
        e2el_s=ended_s - exchange.sent_s,
        gaps_s=tuple(later - earlier for earlier, later in itertools.pairwise(times)),
        tokens=reply.tokens,
        prompt_tokens=reply.answer.prompt_tokens,
        first_byte_s=first_byte_s - exchange.sent_s if first_byte_s is not None else None,
        streamed=reply.streamed or not ok,
        status=reply.status or None,
        prefill=prefill,
        decode=decode,
        attempts=exchange.attempts,
        refusal=verdict.detail if verdict.outcome is Outcome.REFUSED else "",
        error="" if verdict.outcome is Outcome.REFUSED else verdict.detail,
    )


def pair_of(request_id: str) -> tuple[str, str]:
    """Addresses of the prefill and the decode instance that an answer's id names; ("", "") where it names none."""
    found = _PAIR.search(request_id)
    return (_address(found["prefill"]), _address(found["decode"])) if found else ("", "")


def _address(zmq: str) -> str:
    found = _ZMQ.search(zmq)
    return f"{found['host']}:{found['port']}" if found else zmq
