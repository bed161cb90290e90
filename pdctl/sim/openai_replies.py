"""Answers in vLLM's framing: JSON bodies and server-sent events (shapes as seen from vLLM 0.32)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pdctl.sim.openai_api import ApiError

DONE = b"data: [DONE]\n\n"


def dumps(value: object) -> bytes:
    """JSON without blanks, as FastAPI renders it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def event(value: object) -> bytes:
    """One server-sent event."""
    return b"data: " + dumps(value) + b"\n\n"


def error_event(error: ApiError) -> bytes:
    """An error inside a stream that has already answered 200."""
    return b"data: " + json.dumps(error.body()).encode() + b"\n\n"


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
    }


class Reply:
    """Formats one request's answer. Everything that does not change from token to token is rendered once."""

    def __init__(self, *, chat: bool, response_id: str, created: int, model: str, fingerprint: str) -> None:
        self._chat = chat
        kind = "chat.completion" if chat else "text_completion"
        self._head: dict[str, Any] = {"id": response_id, "object": kind, "created": created, "model": model}
        self._stream_head = {**self._head, "object": "chat.completion.chunk"} if chat else self._head
        self._fingerprint = fingerprint
        opening = dumps(self._stream_head)[:-1].decode()
        if chat:
            self._before = f'data: {opening},"choices":[{{"index":0,"delta":{{"content":"'
            self._after = '"},"logprobs":null,"finish_reason":null,"token_ids":null}]'
        else:
            self._before = f'data: {opening},"choices":[{{"index":0,"text":"'
            self._after = (
                '","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]'
            )

    def first(self) -> bytes:
        """What precedes the first token: the role, in a chat."""
        if not self._chat:
            return b""
        delta = {"role": "assistant", "content": ""}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return event({**self._stream_head, "choices": [choice], "prompt_token_ids": None})

    def tokens(self, pieces: Sequence[str], usages: Sequence[dict[str, Any]] = ()) -> bytes:
        """One event per token. The texts are letters and blanks: nothing in them needs escaping in JSON."""
        if usages:
            rendered = zip(pieces, usages, strict=True)
            text = "".join(
                f'{self._before}{piece}{self._after},"usage":{dumps(used).decode()}}}\n\n' for piece, used in rendered
            )
        else:
            text = "".join(f"{self._before}{piece}{self._after}}}\n\n" for piece in pieces)
        return text.encode()

    def last(self, piece: str, finish: str, stop_reason: str | None) -> bytes:
        """The event of the last token, or of an end without one."""
        if self._chat:
            delta = {"content": piece}
            choice: dict[str, Any] = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            choice |= {"stop_reason": stop_reason, "token_ids": None}
        else:
            choice = {"index": 0, "text": piece, "logprobs": None, "finish_reason": finish, "stop_reason": stop_reason}
            choice |= {"prompt_token_ids": None, "token_ids": None}
        return event({**self._stream_head, "choices": [choice]})

    def usage(self, used: dict[str, Any]) -> bytes:
        """The event of `stream_options.include_usage`."""
        return event({**self._stream_head, "choices": [], "usage": used, "system_fingerprint": self._fingerprint})

    def whole(
        self, text: str, finish: str, stop_reason: str | None, used: dict[str, Any], kv_params: dict[str, Any] | None
    ) -> bytes:
        """A buffered answer."""
        choice: dict[str, Any] = {"index": 0}
        if self._chat:
            choice["message"] = {
                "role": "assistant",
                "content": text,
                "refusal": None,
                "annotations": None,
                "audio": None,
                "function_call": None,
                "reasoning": None,
            }
        else:
            choice["text"] = text
        choice |= {"logprobs": None, "finish_reason": finish, "stop_reason": stop_reason, "token_ids": None}
        return dumps(
            {
                **self._head,
                "choices": [choice],
                "service_tier": None,
                "system_fingerprint": self._fingerprint,
                "usage": {**used, "prompt_tokens_details": None, "completion_tokens_details": None},
                "kv_transfer_params": kv_params,
                "ec_transfer_params": None,
                "metrics": None,
            }
        )
