"""How one request ended, as its client saw it: five disjoint outcomes, and their counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Every request has exactly one. All but OK are failures, whatever the HTTP status said.

    ABORTED: the engine gave up behind a 200 and an orderly `[DONE]` (`finish_reason` "abort"; vLLM 0.32 does so at
    SIGTERM without --shutdown-timeout). ERROR: the server said so, as HTTP status or as `{"error": …}` in a stream
    that had begun with 200. CUT: the answer is not whole and nobody said why. REFUSED: not taken in: no connection,
    429 or 503.
    """

    OK = "ok"
    ABORTED = "aborted"
    ERROR = "error"
    CUT = "cut"
    REFUSED = "refused"

    @property
    def failed(self) -> bool:
        return self is not Outcome.OK


@dataclass(frozen=True, slots=True)
class RequestResult:
    """One request as measured by its client. Times are in seconds from the moment the request was sent.

    `ttft_s` is None where no token was seen on its own (buffered answers, failures before the first). `itls_s` are the
    gaps between the stream's token events, so they are fewer than tokens - 1 if an event carried several tokens.
    `tokens` is the server's own count where it gave one, else the number of token events. `detail` says in one line
    what was wrong; it holds remote text.
    """

    outcome: Outcome
    ttft_s: float | None
    itls_s: tuple[float, ...]
    e2el_s: float
    tokens: int
    streamed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """How many requests ended in which way."""

    ok: int = 0
    aborted: int = 0
    error: int = 0
    cut: int = 0
    refused: int = 0

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> OutcomeCounts:
        return cls(**{outcome.value: count for outcome, count in Counter(outcomes).items()})

    @property
    def failed(self) -> int:
        return self.aborted + self.error + self.cut + self.refused

    @property
    def total(self) -> int:
        return self.ok + self.failed
