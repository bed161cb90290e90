"""One request of a benchmark, as its client saw it: the raw datum to which every figure can be traced."""

from __future__ import annotations

from dataclasses import dataclass

from pdctl.model.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Row:
    """`at_s` and `sent_s` are seconds from the start of the point: when the request was due, and when it was sent
    (later where a concurrency limit held it back). `ttft_s`, `first_byte_s` and `e2el_s` are seconds from `sent_s`.

    `isl`, `osl`: tokens wanted. `prompt_tokens`, `tokens`: tokens got, by the server's count (None: it gave none; for
    `tokens` then the number of token events). `gaps_s`: between the stream's token events, so fewer than `tokens - 1`
    where an event carried several. `prefill`, `decode`: instances or addresses, where the answer names them.
    `refusal`: why it was not taken in; `error`: what else was wrong; both one line, and remote text.
    """

    index: int
    request_id: str
    at_s: float
    sent_s: float
    isl: int
    osl: int
    outcome: Outcome
    ttft_s: float | None
    e2el_s: float
    gaps_s: tuple[float, ...]
    tokens: int
    prompt_tokens: int | None = None
    first_byte_s: float | None = None
    streamed: bool = True
    status: int | None = None
    prefill: str = ""
    decode: str = ""
    attempts: int = 1
    refusal: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def tpot_s(self) -> float | None:
        """Seconds per output token after the first (`vllm bench serve`); None of an answer with fewer than two."""
        if self.ttft_s is None or self.tokens < 2:
            return None
        return (self.e2el_s - self.ttft_s) / (self.tokens - 1)

    @property
    def queued_s(self) -> float:
        """How long it waited at the client."""
        return self.sent_s - self.at_s
