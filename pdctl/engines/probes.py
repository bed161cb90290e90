"""What an engine's answers and log lines mean. Nothing here talks to an engine.

Unknown is None, never 0: an engine whose figures cannot be read is not idle.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

HEALTH_PATH: Final = "/health"
"""Refused until start-up is finished, then 200, even while hung or draining (vLLM 0.33): a start-up gate, no more."""

VERSION_PATH: Final = "/version"
METRICS_PATH: Final = "/metrics"
MODELS_PATH: Final = "/v1/models"


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """What an instance has in hand, summed over its DP ranks; `kv_usage` is the fullest rank's, 0..1.

    `steps` counts engine steps and stands for progress. `deferred` (vLLM >= 0.21) and `fetching` (>= 0.33, decode)
    wait for remote KV. The token counters tell local prefill from tokens that came by KV transfer. None: unknown.
    """

    running: float | None
    waiting: float | None
    kv_usage: float | None
    deferred: float | None
    fetching: float | None
    steps: float | None
    local_compute_tokens: float | None
    external_kv_tokens: float | None

    @property
    def busy(self) -> bool | None:
        """Whether anything runs, waits or still holds KV (an un-pulled hand-off does); None if that is not known."""
        figures = (self.running, self.waiting, self.kv_usage)
        if any(figure is not None and figure > 0 for figure in figures):
            return True
        return None if None in figures else False


@dataclass(frozen=True, slots=True)
class StartupProgress:
    """How far a start-up is, from its log. `phase` is for operators; any change of it is a sign of life."""

    phase: str
    detail: str = ""


def parse_version(body: str | bytes) -> str | None:
    """The engine's version from `/version`; None if the answer is not what vLLM gives."""
    try:
        version = json.loads(body)["version"]
    except (ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) else None


def parse_load(text: str) -> EngineLoad:
    """The figures of a `/metrics` answer (names: vLLM 0.21 to 0.33 loggers.py). A family that is missing is None."""
    seen = _samples(text)
    sources = "vllm:prompt_tokens_by_source_total"
    return EngineLoad(
        running=_fold(sum, seen, "vllm:num_requests_running"),
        waiting=_fold(sum, seen, "vllm:num_requests_waiting"),
        kv_usage=_fold(max, seen, "vllm:kv_cache_usage_perc"),
        deferred=_fold(sum, seen, "vllm:num_requests_waiting_by_reason", 'reason="deferred"'),
        fetching=_fold(sum, seen, "vllm:num_requests_kv_fetch_by_stage"),
        steps=_fold(sum, seen, "vllm:iteration_tokens_total_count"),
        local_compute_tokens=_fold(sum, seen, sources, 'source="local_compute"'),
        external_kv_tokens=_fold(sum, seen, sources, 'source="external_kv_transfer"'),
    )


_FAMILIES: Final = frozenset(
    {
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:num_requests_waiting_by_reason",
        "vllm:num_requests_kv_fetch_by_stage",
        "vllm:kv_cache_usage_perc",
        "vllm:iteration_tokens_total_count",
        "vllm:prompt_tokens_by_source_total",
    }
)
_SAMPLE: Final = re.compile(r"(?P<name>vllm:\w+)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")


def _samples(text: str) -> list[tuple[str, str, float | None]]:
    """(name, labels, value) of the families that are used; a value that is no number is None."""
    found = []
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match and match["name"] in _FAMILIES:
            found.append((match["name"], match["labels"] or "", _number(match["value"])))
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _fold(
    fold: Callable[[Iterable[float]], float],
    samples: Sequence[tuple[str, str, float | None]],
    name: str,
    label: str = "",
) -> float | None:
    """One figure of all ranks' samples; None if there is none, or if one of them cannot be read."""
    values = [value for family, labels, value in samples if family == name and label in labels]
    known = [value for value in values if value is not None]
    return fold(known) if known and len(known) == len(values) else None


# Log lines of vLLM 0.32, in the order in which a start-up writes them; the last one that is seen counts.
_PHASES: Final[Mapping[str, re.Pattern[str]]] = {
    "starting": re.compile(r"non-default args|Initializing a V1 LLM engine"),
    "loading weights": re.compile(r"Starting to load model|Loading \S+ checkpoint shards:\s*(?P<detail>\d+%)"),
    "weights loaded": re.compile(r"Loading weights took|Model loading took"),
    "compiling": re.compile(r"Dynamo bytecode transform time|Compiling a graph|torch\.compile takes"),
    "sizing the KV cache": re.compile(r"KV cache size: (?P<detail>[\d,]+ tokens)|Available KV cache memory"),
    "capturing graphs": re.compile(r"Capturing CUDA graphs[^:]*:\s*(?P<detail>\d+%)"),
    "warmed up": re.compile(r"init engine \(.*\) took|Graph capturing finished"),
    "listening": re.compile(r"Starting vLLM (?:API )?server"),
    "ready": re.compile(r"Application startup complete"),
}


def startup_progress(lines: Iterable[str]) -> StartupProgress | None:
    """How far an engine has come, from the tail of its log; None if no line says anything about it."""
    found = None
    for line in lines:
        for phase, pattern in _PHASES.items():
            match = pattern.search(line)
            if match:
                found = StartupProgress(phase, match.groupdict().get("detail") or "")
    return found


# What each known failure says, and what an operator should read. The first pattern that is seen anywhere wins.
_CAUSES: Final[Mapping[str, re.Pattern[str]]] = {
    "the port is already in use": re.compile(r"[Aa]ddress already in use"),
    "MoRI is not installed in the engine's environment": re.compile(r"MoRIIO is not available"),
    "GPU memory is held by something else": re.compile(r"Free memory on device .* is less than desired"),
    "out of GPU memory": re.compile(r"OutOfMemoryError|HIP out of memory|CUDA out of memory"),
    "no usable GPU": re.compile(r"No (?:HIP|CUDA) GPUs are available|no accelerator|none is available"),
    "unknown command-line flag": re.compile(r"unrecognized arguments: (?P<detail>.+)"),
    "bad command line": re.compile(r"error: (?P<detail>argument .+)"),
}
_LAST_ERROR: Final = re.compile(
    r"^(?:\([^)]*\)\s*)?(?:ERROR \S+ \S+ \[[^\]]*\]\s*)?(?P<text>\w*(?:Error|Exception): .+)"
)
_NO_CAUSE: Final = "See root cause above"
_WORKER_DIED: Final = re.compile(r"Worker proc (?P<worker>\S+) died unexpectedly")


# What Python and its libraries print while an engine ends (vLLM 0.32).
_NOISE: Final = re.compile(r"^\s*- (?:leaked |\.\.\. skipped)|nanobind: |resource_tracker: |^See https?://\S+refleaks")


def without_noise(lines: Iterable[str]) -> Iterator[str]:
    """The lines that are not about the end of a Python process as such."""
    return (line for line in lines if not _NOISE.search(line))


def failure_cause(lines: Iterable[str]) -> str | None:
    """Why an engine died, in one line: a known cause, else what came first of a worker's death and an exception (a
    worker that failed is said to have died, and one that was killed leads to exceptions); None if there is neither."""
    kept = [line.strip() for line in lines]
    for cause, pattern in _CAUSES.items():
        for line in kept:
            match = pattern.search(line)
            if match:
                detail = match.groupdict().get("detail")
                return f"{cause}: {detail}" if detail else cause
    for line in kept:
        if died := _WORKER_DIED.search(line):
            return f"worker process {died['worker']} died unexpectedly"
        match = _LAST_ERROR.match(line)
        if match and _NO_CAUSE not in line:
            return match["text"][:200]
    return None
