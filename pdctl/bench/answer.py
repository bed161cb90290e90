"""What an OpenAI-style answer says, and which outcome that is. Pure: no clock, no network.

The shapes are those of vLLM 0.32 and vllm-router 0.1.17: an error comes as `{"error": {...}}`, as `{"error": "..."}` or
as plain text; an abort comes as `finish_reason` "abort" inside an otherwise orderly answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from pdctl.model.outcome import Outcome, RequestResult

DONE = "[DONE]"
_REFUSALS = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_DETAIL_CHARS = 300


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome with its one-line reason ("" for OK)."""

    outcome: Outcome
    detail: str = ""


def judge_status(status: int, body: str) -> Verdict | None:
    """The verdict on a status other than 200; None for 200, where the body decides."""
    if status == HTTPStatus.OK:
        return None
    outcome = Outcome.REFUSED if status in _REFUSALS else Outcome.ERROR
    return Verdict(outcome, _one_line(f"HTTP {status}: {_error_text(_parse(body)) or body or 'no body'}"))


def judge_body(body: str) -> tuple[Verdict, int]:
    """The verdict on a whole buffered answer behind a 200, and its number of output tokens (0 if not said)."""
    if not body.strip():
        return Verdict(Outcome.CUT, "HTTP 200 with an empty body"), 0
    answer = _parse(body)
    if answer is None:
        return Verdict(Outcome.ERROR, _one_line(f"HTTP 200 with a body that is no JSON object: {body}")), 0
    if error := _error_text(answer):
        return Verdict(Outcome.ERROR, _one_line(error)), 0
    return _judge_finish(_finish_reasons(answer)), _usage_tokens(answer) or 0


class StreamedAnswer:
    """Collects one stream's events with the times at which they came, and judges it when it has ended.

    Whole means: a `finish_reason`, and then `[DONE]`. Either one alone is a cut stream. `tokens` and `prompt_tokens`
    are the server's own counts (`tokens`: else the number of token events); `request_id` is the answer's `id`.
    """

    __slots__ = ("_error", "_finish", "_times_s", "_usage", "done", "prompt_tokens", "request_id")

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._finish: list[str] = []
        self._usage: int | None = None
        self._error = ""
        self.prompt_tokens: int | None = None
        self.request_id = ""
        self.done = False

    @property
    def token_times_s(self) -> Sequence[float]:
        """When each token event came."""
        return self._times_s

    @property
    def tokens(self) -> int:
        return self._usage if self._usage is not None else len(self._times_s)

    def add(self, data: str | bytes, at_s: float) -> None:
        """One event's data, which came `at_s` seconds after the request was sent."""
        # Written for speed: a load of hundreds of streams spends most of its time here.
        try:
            chunk = orjson.loads(data)
        except ValueError:
            if isinstance(data, str):
                self._add_text(data)
            else:  # what is no UTF-8 becomes U+FFFD
                self.add(data.decode("utf-8", "replace"), at_s)
            return
        if type(chunk) is not dict:
            self._error = self._error or f"an event that is no JSON object: {chunk}"
            return
        if not self.request_id:
            self.request_id = str(chunk.get("id") or "")
        if usage := chunk.get("usage"):
            self._count(usage)
        if "error" in chunk or chunk.get("object") == "error":
            self._error = self._error or _error_text(chunk)
        choices = chunk.get("choices")
        token = False
        for choice in choices if type(choices) is list else ():
            if type(choice) is not dict:
                continue
            if reason := choice.get("finish_reason"):
                self._finish.append(str(reason))
            token = token or bool(choice.get("text")) or _carries_token(choice)
        if token:
            self._times_s.append(at_s)

    def _add_text(self, text: str) -> None:
        if text.strip() == DONE:
            self.done = True
        else:
            self._error = self._error or f"an event that is no JSON object: {text}"

    def _count(self, usage: object) -> None:
        if (tokens := _count_of(usage, "completion_tokens")) is not None:
            self._usage = tokens
        if (tokens := _count_of(usage, "prompt_tokens")) is not None:
            self.prompt_tokens = tokens

    def result(self, *, e2el_s: float, lost: str = "") -> RequestResult:
        """The measured request; `lost` says how the connection went if it did not end in order."""
        times = self._times_s
        verdict = self.verdict(lost)
        return RequestResult(
            outcome=verdict.outcome,
            ttft_s=times[0] if times else None,
            itls_s=tuple(later - earlier for earlier, later in itertools.pairwise(times)),
            e2el_s=e2el_s,
            tokens=self.tokens,
            streamed=True,
            detail=verdict.detail,
        )

    def verdict(self, lost: str = "") -> Verdict:
        """`lost`: how the connection went, if it did not end in order."""
        if self._error:
            return Verdict(Outcome.ERROR, _one_line(self._error))
        finish = _judge_finish(self._finish)
        if finish.outcome in (Outcome.ABORTED, Outcome.ERROR):
            return finish
        if not self.done:
            return Verdict(Outcome.CUT, lost or f"the stream ended without {DONE}")
        return finish


def _judge_finish(reasons: list[str]) -> Verdict:
    if "abort" in reasons:
        return Verdict(Outcome.ABORTED, 'finish_reason "abort"')
    if "error" in reasons:
        return Verdict(Outcome.ERROR, 'finish_reason "error"')
    if not reasons:
        return Verdict(Outcome.CUT, "the answer ended without a finish_reason")
    return Verdict(Outcome.OK)


def _carries_token(choice: Mapping[str, Any]) -> bool:
    """Whether one streamed choice stands for output. Text may be empty: half a character is held back until its rest.

    Not counted: the chat opening that only names the role, an empty delta, and the empty chunk that tells an abort.
    """
    if "text" in choice:
        return bool(choice["text"]) or choice.get("finish_reason") not in ("abort", "error")
    delta = choice.get("delta")
    if not isinstance(delta, Mapping):
        return False
    content = {key: value for key, value in delta.items() if key != "role" and value is not None}
    return any(content.values()) or (bool(content) and "role" not in delta and choice.get("finish_reason") is None)


def _choices(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = answer.get("choices")
    return [choice for choice in choices if isinstance(choice, Mapping)] if isinstance(choices, list) else []


def _finish_reasons(answer: Mapping[str, Any]) -> list[str]:
    return [str(choice["finish_reason"]) for choice in _choices(answer) if choice.get("finish_reason")]


def _usage_tokens(answer: Mapping[str, Any]) -> int | None:
    return _count_of(answer.get("usage"), "completion_tokens")


def _count_of(usage: object, name: str) -> int | None:
    count = usage.get(name) if isinstance(usage, Mapping) else None
    return count if isinstance(count, int) else None


def _error_text(answer: Mapping[str, Any] | None) -> str:
    if not answer:
        return ""
    error = answer.get("error")
    if isinstance(error, Mapping):
        return str(error.get("message") or error)
    if error:
        return str(error)
    # vLLM before 0.10 put the error at the top level.
    return str(answer.get("message") or "unnamed error") if answer.get("object") == "error" else ""


def _parse(text: str) -> Mapping[str, Any] | None:
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _DETAIL_CHARS else line[: _DETAIL_CHARS - 1] + "…"
