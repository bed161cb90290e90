"""The command line of `vllm bench serve`. Pure.

Two dialects (vLLM 0.32 `benchmarks/serve.py`, `datasets/datasets.py`): where the tool knows the `timed_trace` data set
(vLLM pull request 39795), it plays our requests one by one as they are, prompts as token ids. Elsewhere, and for chat,
it is told the shape and draws `random` prompts and arrivals itself; they are text, so the input length is right to
within what tokenizing it again changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pdctl.bench.drivers.shape import Arrival, Arrivals, Shape, arrivals, shape
from pdctl.bench.drivers.tool import OUT
from pdctl.bench.drivers.trace import Trace, tool_seed
from pdctl.bench.point import Point, Target
from pdctl.model.load import Api, PromptKind

TOOL = "vllm bench serve"
RESULT = "result.json"
TRACE = "trace.jsonl"

_NEARLY_CONSTANT = 1_000_000
"""`--burstiness` is the shape of a gamma distribution; "inf", which means constant, is not known to older versions."""


class Dialect(StrEnum):
    """How the workload is told."""

    TRACE = "timed_trace"
    RANDOM = "random"


def dialect_for(target: Target) -> Dialect:
    """The better of the two that `target` allows; the tool plays traces on the completions endpoint only."""
    exact = target.api is Api.COMPLETIONS and target.prompt is PromptKind.TOKENS
    return Dialect.TRACE if exact else Dialect.RANDOM


def vllm_serve_argv(
    program: Sequence[str],
    point: Point,
    target: Target,
    *,
    tokenizer: str = "",
    played: Trace | None = None,
) -> tuple[str, ...]:
    """`played`: the trace that lies beside it; None: the random dialect. `tokenizer`: a path or name, if it is not
    the model's name that tells it. Raises BenchError where the random dialect has no words for the workload."""
    chat = target.api is Api.CHAT
    argv = [*program, "bench", "serve"]
    argv += ["--backend", "openai-chat" if chat else "openai"]
    argv += ["--base-url", target.url.rstrip("/"), "--endpoint", target.api.path]
    argv += ["--model", target.model]
    if tokenizer:
        argv += ["--tokenizer", tokenizer]
    argv += _of_trace(played) if played else _of_shape(shape(point.workload, TOOL), arrivals(point.workload, TOOL))
    if point.workload.concurrency is not None:
        argv += ["--max-concurrency", str(point.workload.concurrency)]
    argv += ["--seed", str(tool_seed(point)), "--ignore-eos", "--temperature", "0"]
    argv += ["--request-id-prefix", request_prefix(point)]
    argv += ["--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "50,90,99"]
    argv += ["--save-result", "--save-detailed", "--result-dir", OUT, "--result-filename", RESULT]
    return tuple(argv)


def request_prefix(point: Point) -> str:
    """What the requests' ids (`x-request-id`) begin with; their numbers follow."""
    return f"pdctl-{tool_seed(point):x}-"


def _of_trace(played: Trace) -> list[str]:
    return [
        *("--dataset-name", Dialect.TRACE.value, "--dataset-path", TRACE),
        *("--timed-trace-chunk-hash-size", str(played.block)),
        *("--num-prompts", str(played.requests)),
    ]


def _of_shape(told: Shape, when: Arrivals) -> list[str]:
    argv = ["--dataset-name", Dialect.RANDOM.value, "--random-input-len", str(told.isl - told.prefix_len)]
    argv += ["--random-output-len", str(told.osl), "--num-prompts", str(told.requests)]
    if told.prefix_len:
        argv += ["--random-prefix-len", str(told.prefix_len)]
    if when.rate_per_s is None:
        return [*argv, "--request-rate", "inf"]
    burstiness = _NEARLY_CONSTANT if when.arrival is Arrival.CONSTANT else 1
    return [*argv, "--request-rate", f"{when.rate_per_s:.6g}", "--burstiness", str(burstiness)]
