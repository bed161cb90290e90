"""What a completion request may say, and vLLM's words when it may not. Pure; the replies are in openai_replies.py."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pdctl.sim.answer import Prompt, read_ids, read_text

COMPLETION_DEFAULT_TOKENS = 16
"""OpenAI's default for /v1/completions; chat goes on to the model's length."""


class ApiError(Exception):
    """Becomes an HTTP error with vLLM's body: {"error": {"message", "type", "param", "code"}}."""

    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.param = param

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.status}}


def bad_request(message: str, param: str | None = None) -> ApiError:
    return ApiError(400, "BadRequestError", message, param)


def engine_dead() -> ApiError:
    """What every request gets from an engine whose core has died (seen with vLLM 0.32)."""
    text = "EngineCore encountered an issue. See stack trace (above) for the root cause."
    return ApiError(500, "InternalServerError", text)


def internal_error() -> ApiError:
    """What a request gets that ended with finish_reason "error", such as a failed KV load."""
    return ApiError(500, "InternalServerError", "Internal server error")


@dataclass(frozen=True, slots=True)
class CompletionAsk:
    """One completion or chat request, checked."""

    chat: bool
    model: str
    prompt: Prompt
    max_tokens: int
    min_tokens: int = 0
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    usage_every_chunk: bool = False
    kv_params: dict[str, Any] = field(default_factory=dict)
    request_id: str | None = None


def parse_ask(body: bytes, *, chat: bool, served_names: Sequence[str], max_model_len: int) -> CompletionAsk:
    """Read a request body. Raises ApiError."""
    try:
        raw = json.loads(body)
    except ValueError as error:
        raise ApiError(400, "Bad Request", f"JSON decode error: {error}") from None
    if not isinstance(raw, dict):
        raise ApiError(400, "Bad Request", "Input should be a valid dictionary or object to extract fields from")
    model = raw.get("model") or served_names[0]
    if model not in served_names:
        text = f"The model `{model}` does not exist. Valid aliases: {', '.join(served_names)}."
        raise ApiError(404, "NotFoundError", text, "model")
    if raw.get("n") not in (None, 1):
        raise bad_request("n must be 1: a simulated engine gives one answer", "n")
    prompt = _chat_prompt(raw) if chat else _prompt(raw)
    max_tokens = _max_tokens(raw, prompt, chat=chat, max_model_len=max_model_len)
    options = raw.get("stream_options") or {}
    if options and not raw.get("stream"):
        raise bad_request("Stream options can only be defined when `stream=True`.", "stream_options")
    return CompletionAsk(
        chat=chat,
        model=model,
        prompt=prompt,
        max_tokens=max_tokens,
        min_tokens=_min_tokens(raw, max_tokens),
        ignore_eos=bool(raw.get("ignore_eos")),
        stop=_stop(raw.get("stop")),
        stream=bool(raw.get("stream")),
        include_usage=bool(options.get("include_usage")),
        usage_every_chunk=bool(options.get("continuous_usage_stats")),
        kv_params=dict(raw.get("kv_transfer_params") or {}),
        request_id=raw.get("request_id"),
    )


def _prompt(raw: Mapping[str, Any]) -> Prompt:
    prompt = raw.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], (str, list)):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return read_text(prompt)
    if isinstance(prompt, list) and prompt and all(type(token) is int and 0 <= token < 2**32 for token in prompt):
        return read_ids(prompt)
    raise bad_request("Either prompt or prompt_embeds must be provided and non-empty: a text or token ids", "prompt")


def _chat_prompt(raw: Mapping[str, Any]) -> Prompt:
    messages = raw.get("messages")
    if not isinstance(messages, list) or not messages:
        raise bad_request("messages: Field required", "messages")
    lines = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise bad_request("messages: every message needs a role", "messages")
        lines.append(f"<|{message['role']}|> {_content(message.get('content'))}")
    return read_text("\n".join(lines))


def _content(content: object) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _max_tokens(raw: Mapping[str, Any], prompt: Prompt, *, chat: bool, max_model_len: int) -> int:
    asked = raw.get("max_completion_tokens") if chat else None
    asked = raw.get("max_tokens") if asked is None else asked
    room = max_model_len - prompt.tokens
    if asked is None:
        asked = max(1, room) if chat else min(COMPLETION_DEFAULT_TOKENS, max(1, room))
    if type(asked) is not int or asked < 1:
        raise bad_request(f"max_tokens must be at least 1, got {asked}.", "max_tokens")
    if asked > room:
        raise bad_request(
            f"This model's maximum context length is {max_model_len} tokens. However, you requested {asked} output "
            f"tokens and your prompt contains at least {prompt.tokens} input tokens, for a total of at least "
            f"{prompt.tokens + asked} tokens. Please reduce the length of the input prompt or the number of requested "
            "output tokens.",
            "input_tokens",
        )
    return asked


def _min_tokens(raw: Mapping[str, Any], max_tokens: int) -> int:
    value = raw.get("min_tokens") or 0
    if type(value) is not int or value < 0:
        raise bad_request(f"min_tokens must be greater than or equal to 0, got {value}.", "min_tokens")
    if value > max_tokens:
        raise bad_request(
            f"min_tokens must be less than or equal to max_tokens={max_tokens}, got {value}.", "min_tokens"
        )
    return value


def _stop(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(item for item in value if item)
    raise bad_request("stop: Input should be a valid string or list of strings", "stop")
