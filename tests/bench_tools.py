"""What other projects' benchmark tools write, made up in their formats, and stand-ins that write it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pdctl.bench.point import Point, Target
from pdctl.perf.workload import Asked, Workload

STAND_IN_HEAD = f"#!{sys.executable}\nimport json, os, pathlib, sys, time\nargv = sys.argv[1:]\n"


def stand_in(directory: Path, name: str, body: str) -> Path:
    """An executable of that name whose Python `body` sees `argv`."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / name
    program.write_text(STAND_IN_HEAD + body)
    program.chmod(0o755)
    return program


def point(*asked: Asked, concurrency: int | None = None, **changes: Any) -> Point:
    """Two requests of 8 tokens in and 3 out at once, unless others are asked."""
    workload = Workload(asked or (Asked(0.0, 8, 3), Asked(0.0, 8, 3)), concurrency)
    return Point("d", "s", "c2", 0, workload, **changes)


def target(**changes: Any) -> Target:
    return Target(**({"url": "http://127.0.0.1:1/", "model": "m"} | changes))


def vllm_result(**changes: Any) -> dict[str, Any]:
    """Two requests: the first had to wait 0.1 s at the client."""
    result: dict[str, Any] = {
        "backend": "openai",
        "duration": 0.6,
        "completed": 2,
        "failed": 0,
        "output_throughput": 10.0,
        "input_lens": [8, 8],
        "output_lens": [3, 3],
        "ttfts": [0.2, 0.3],
        "itls": [[0.05, 0.07], [0.05, 0.05]],
        "start_times": [1000.1, 1000.0],
        "latencies": [0.33, 0.4],
        "queue_times": [0.1, 0.0],
        "generated_texts": ["a b c", "d e f"],
        "errors": ["", ""],
    }
    return result | changes


def aiperf_record(position: int, **changes: Any) -> dict[str, Any]:
    """A request that was sent 0.1 s after the last one, took 0.4 s and had its first token after 0.2 s."""
    start_ns = 1_700_000_000_000_000_000 + position * 100_000_000
    record: dict[str, Any] = {
        "metadata": {
            "session_num": position,
            "conversation_id": str(position),
            "x_request_id": f"x{position}",
            "credit_issued_ns": start_ns - 1000,
            "request_start_ns": start_ns,
            "request_end_ns": start_ns + 400_000_000,
            "benchmark_phase": "profiling",
            "was_cancelled": False,
        },
        "metrics": {
            "time_to_first_token": {"value": 200.0, "unit": "ms"},
            "request_latency": {"value": 400.0, "unit": "ms"},
            "inter_chunk_latency": {"value": [90.0, 110.0], "unit": "ms"},
            "output_sequence_length": {"value": 3, "unit": "tokens"},
            "usage_prompt_tokens": {"value": 8, "unit": "tokens"},
        },
    }
    return record | changes


def guidellm_request(due: float, osl: int, tokens: int | None = None, **timings: Any) -> dict[str, Any]:
    """A request that was due at `due`, sent 10 ms later, and ended 0.4 s after that."""
    sent = due + 0.01
    return {
        "request_id": f"g{due}",
        "request_args": json.dumps({"body": {"model": "m", "max_tokens": osl}, "stream": True}),
        "info": {
            "status": "completed",
            "error": None,
            "timings": {
                "targeted_start": due,
                "request_start": sent,
                "first_token_iteration": sent + 0.2,
                "last_token_iteration": sent + 0.4,
                "token_iterations": osl if tokens is None else tokens,
                "request_end": sent + 0.401,
                "resolve_end": sent + 0.402,
                **timings,
            },
        },
        "prompt_tokens": 8,
        "output_tokens": osl if tokens is None else tokens,
    }


def guidellm_report(successful: list[Any], errored: list[Any] | None = None) -> dict[str, Any]:
    requests = {"successful": successful, "errored": errored or [], "incomplete": [], "total": None}
    return {
        "metadata": {"version": 2, "guidellm_version": "0.8.1"},
        "config": {},
        "benchmarks": [{"type_": "generative_benchmark", "config": {}, "requests": requests, "duration": 0.5}],
    }


def lm_eval_results(strict: float = 0.9, stderr: float = 0.02) -> dict[str, Any]:
    """200 documents of gsm8k, of the second filter without a standard error."""
    return {
        "results": {
            "gsm8k": {
                "name": "gsm8k",
                "alias": "gsm8k",
                "sample_len": 200,
                "exact_match,strict-match": strict,
                "exact_match_stderr,strict-match": stderr,
                "exact_match,flexible-extract": strict,
                "exact_match_stderr,flexible-extract": "N/A",
            }
        },
        "versions": {"gsm8k": 3.0},
        "n-shot": {"gsm8k": 5},
        "higher_is_better": {"gsm8k": {"exact_match": True}},
        "n-samples": {"gsm8k": {"original": 1319, "effective": 200}},
        "config": {"model": "local-completions", "limit": 200.0},
        "lm_eval_version": "0.4.13",
    }
