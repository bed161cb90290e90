"""A workload as the requests themselves, each with the moment at which it is due. Pure.

One JSON object a line, `{"timestamp", "session_id", "payload"}`, as AIPerf 0.13 reads a `mooncake_trace`; a payload is
sent as it is, so prompts have exactly the tokens that were asked for. (What AIPerf makes of `hash_ids` is text, and it
cannot make ten or more of them with a tokenizer from a local directory.)
"""

from __future__ import annotations

import json

from pdctl.bench.drivers.question import Deck
from pdctl.bench.point import Point, Target
from pdctl.errors import BenchError
from pdctl.model.load import Api, PromptKind

_PER_S = 1000.0


def payload_lines(point: Point, target: Target) -> bytes:
    """Timestamps are milliseconds, session ids positions within the workload. Output lengths are forced.

    Raises BenchError for chat of token ids: its messages are text.
    """
    if target.api is Api.CHAT and target.prompt is PromptKind.TOKENS:
        raise BenchError("chat messages are text, and no token ids", hint="use prompts of words")
    asked = point.workload.asked
    deck = Deck(target.prompt, target.vocab, f"{point.id}/payloads", max((item.isl for item in asked), default=1))
    fixed = {
        "model": target.model,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    lines = []
    for position, item in enumerate(asked):
        drawn = deck.prompt(point.index(position), item).decode()
        lengths = {"max_tokens": item.osl, "min_tokens": item.osl}
        payload = fixed | lengths | _question(target, drawn)
        line = {"timestamp": round(item.at_s * _PER_S, 3), "session_id": str(position), "payload": payload}
        lines.append(json.dumps(line) + "\n")
    return "".join(lines).encode()


def _question(target: Target, drawn: str) -> dict[str, object]:
    if target.api is Api.CHAT:
        return {"messages": [{"role": "user", "content": drawn}]}
    if target.prompt is PromptKind.TOKENS:
        return {"prompt": [int(token) for token in drawn.split(",")]}
    return {"prompt": drawn}
