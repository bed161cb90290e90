"""A load: what to send, what came of it, and the Protocol through which use cases ask for one.

`bench.load.run_load` is the real runner; `bench.fake.ScriptedLoad` stands in for it in tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pdctl.model.outcome import OutcomeCounts, RequestResult


class Api(StrEnum):
    """Which OpenAI endpoint is called."""

    COMPLETIONS = "completions"
    CHAT = "chat"

    @property
    def path(self) -> str:
        return "/v1/chat/completions" if self is Api.CHAT else "/v1/completions"


class PromptKind(StrEnum):
    """TOKENS: token ids, so the input length is exact. WORDS: as many words, so it is about right for any tokenizer."""

    TOKENS = "tokens"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """A closed loop: `concurrency` clients that each send the next request when their last one has ended.

    It ends after `requests` requests, or `duration_s` seconds after the first (those in flight are waited for),
    whichever comes first; at least one of the two must be given. `isl` and `osl` are tokens per request; the output
    length is forced by `ignore_eos`. `stream_share` of the requests are streamed, evenly spread. The prompts depend on
    `seed` alone, and no two of one run share a prefix of any length worth caching. `vocab` bounds the token ids.
    `deadline_s` is the longest that one request may take. A refused client waits `refused_pause_s`, so that a server
    which is down is not hammered.

    Raises ValueError where the figures make no load.
    """

    url: str  # "http://10.0.0.1:30000"
    model: str
    concurrency: int
    isl: int
    osl: int
    requests: int | None = None
    duration_s: float | None = None
    api: Api = Api.COMPLETIONS
    prompt: PromptKind = PromptKind.TOKENS
    vocab: int = 1000
    stream_share: float = 1.0
    seed: int = 0
    deadline_s: float = 900.0
    refused_pause_s: float = 0.1

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"no http:// or https:// URL: {self.url}")
        if self.requests is None and self.duration_s is None:
            raise ValueError("a load needs requests or duration_s, or it would never end")
        if min(self.concurrency, self.isl, self.osl) < 1:
            raise ValueError("concurrency, isl and osl must be at least 1")
        if not 0 <= self.stream_share <= 1:
            raise ValueError("stream_share must lie between 0 and 1")
        if self.api is Api.CHAT and self.prompt is PromptKind.TOKENS:
            raise ValueError("chat messages are text: use PromptKind.WORDS")


@dataclass(frozen=True, slots=True)
class Quantiles:
    """p50 and p99 in seconds of `count` samples, linearly interpolated (as `vllm bench serve` does, by NumPy)."""

    p50_s: float
    p99_s: float
    count: int


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What came of a load. Latencies and token rates are those of the ok requests only; None: there was no sample.

    `ttft` and `itl` come from streamed requests. `took_s` spans from the first request sent to the last one ended.
    `failures` are the commonest details of what failed, each with its count, the commonest first.
    """

    counts: OutcomeCounts
    streamed: int
    buffered: int
    took_s: float
    tokens: int
    tokens_per_s: float
    ttft: Quantiles | None
    itl: Quantiles | None
    e2el: Quantiles | None
    failures: tuple[tuple[str, int], ...] = ()


class LoadRunner(Protocol):
    """Runs one load to its end. Failures of requests are counted, not raised."""

    async def __call__(
        self,
        spec: LoadSpec,
        on_result: Callable[[RequestResult], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> LoadReport:
        """`on_result` is called after every request, in the order in which they ended. `stop` is asked before every
        request: once it says True no more are sent, those in flight end whole, and the report tells of what was sent.
        """
        ...
