"""One answer as it comes in: status, events with their times, and what they add up to. No network, no clock."""

from __future__ import annotations

from http import HTTPStatus

from pdctl.bench.answer import DONE, StreamedAnswer, Verdict, judge_body, judge_status
from pdctl.bench.sse import SseDecoder
from pdctl.model.outcome import Outcome

_KEPT_BYTES = 1 << 16  # of a body that only explains a failure


class Reply:
    """Filled by its connection. Times are of the connection's clock."""

    __slots__ = ("_decoder", "_empty", "_kept", "_text", "answer", "first_byte_s", "location", "status", "streamed")

    def __init__(self) -> None:
        self.status = 0  # none yet
        self.location = ""
        self.streamed = False
        self.first_byte_s: float | None = None
        self.answer = StreamedAnswer()
        self._decoder = SseDecoder()
        self._text: list[bytes] = []
        self._kept = 0
        self._empty = True

    def head(self, status: int, *, content_type: str, location: str) -> None:
        """Status and headers have come. An answer without a type is read as the stream that was asked for."""
        self.status = status
        self.location = location
        self.streamed = status == HTTPStatus.OK and content_type in ("", "text/event-stream")

    def body(self, data: bytes, now_s: float) -> None:
        """A piece of the body, cut anywhere."""
        if self.streamed:
            self._empty = self._empty and data.isspace()
            add = self.answer.add
            for event in self._decoder.feed_bytes(data):
                add(event, now_s)
        elif self._kept < _KEPT_BYTES or self.status == HTTPStatus.OK:
            self._text.append(data)
            self._kept += len(data)

    def judge(self, lost: str) -> Verdict:
        """`lost` says how the connection went, if it went before the answer's end."""
        if not self.status:
            return Verdict(Outcome.CUT, lost or "the connection ended without an answer")
        if self.location and 300 <= self.status < 400:
            return Verdict(
                Outcome.ERROR, f"HTTP {self.status}: a redirect to {self.location[:200]}, which is not followed"
            )
        if verdict := judge_status(self.status, self._whole()):
            return verdict
        if self.streamed:
            if self._empty and not lost:
                return Verdict(Outcome.CUT, f"HTTP 200 with an empty body: no {DONE}")
            return self.answer.verdict(lost)
        if lost:
            return Verdict(Outcome.CUT, lost)
        return judge_body(self._whole())[0]

    @property
    def tokens(self) -> int:
        """Of output: the server's count, or the events that carried some."""
        if self.streamed or self.status != HTTPStatus.OK:
            return self.answer.tokens
        return judge_body(self._whole())[1]

    def _whole(self) -> str:
        return b"".join(self._text).decode("utf-8", "replace")
