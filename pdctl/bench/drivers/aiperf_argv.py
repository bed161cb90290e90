"""The command line of `aiperf profile` (AIPerf 0.13). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pdctl.bench.drivers.tool import OUT
from pdctl.bench.drivers.trace import tool_seed
from pdctl.bench.point import Point, Target
from pdctl.model.load import Api

TOOL = "AIPerf"
REQUESTS = "requests.jsonl"


def aiperf_argv(program: Sequence[str], point: Point, target: Target, *, tokenizer: str = "") -> tuple[str, ...]:
    """The requests (`payloads`) lie beside it; they are sent when they are due, `--concurrency` at most at once.

    The tokenizer is loaded though nothing is counted with it: with `--use-server-token-count` the server's counts hold.
    """
    argv = [*program, "profile", "--model", target.model, "--url", target.url.rstrip("/"), "--streaming"]
    argv += ["--endpoint-type", "chat" if target.api is Api.CHAT else "completions"]
    if tokenizer:
        argv += ["--tokenizer", tokenizer]
    argv += ["--input-file", REQUESTS, "--custom-dataset-type", "mooncake_trace", "--fixed-schedule"]
    if point.workload.concurrency is not None:
        argv += ["--concurrency", str(point.workload.concurrency)]
    argv += ["--use-server-token-count", "--random-seed", str(tool_seed(point))]
    argv += ["--request-timeout-seconds", f"{point.deadline_s:g}"]
    argv += ["--ui", "simple", "--no-gpu-telemetry", "--no-server-metrics", "--export-level", "records"]
    return (*argv, "--output-artifact-dir", OUT)
