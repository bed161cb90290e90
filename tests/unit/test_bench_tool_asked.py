"""What other projects' tools are told of a point, and which points they refuse."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from pdctl.bench.drivers.aiperf_argv import aiperf_argv
from pdctl.bench.drivers.chosen import DRIVERS, driver_named
from pdctl.bench.drivers.guidellm_scenario import guidellm_scenario
from pdctl.bench.drivers.payloads import payload_lines
from pdctl.bench.drivers.trace import tool_seed, trace
from pdctl.bench.drivers.vllm_serve_argv import vllm_serve_argv
from pdctl.errors import BenchError, UsageError
from pdctl.model.load import Api, PromptKind
from pdctl.perf.workload import Asked, poisson
from tests.bench_tools import point, target


def option(argv: Sequence[str], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_vllm_plays_a_trace_of_the_requests_as_they_are() -> None:
    asked = point(Asked(0.0, 40, 3, 7, 32), Asked(0.5, 70, 5, 7, 32), Asked(1.5, 9, 4), concurrency=2)
    played = trace(asked)
    lines = [json.loads(line) for line in played.lines.splitlines()]
    assert [line["timestamp"] for line in lines] == [0.0, 0.5, 1.5]
    assert [(line["input_length"], line["output_length"]) for line in lines] == [(40, 3), (70, 5), (9, 4)]
    assert lines[0]["hash_ids"][0] == lines[1]["hash_ids"][0], "one prefix is one block"
    everything = [block for line in lines for block in line["hash_ids"]]
    assert len(everything) == len(set(everything)) + 1, "and nothing else is shared"
    assert all(len(line["hash_ids"]) * played.block >= line["input_length"] for line in lines)
    argv = vllm_serve_argv(["vllm"], asked, target(), tokenizer="/models/m", played=played)
    assert argv[:3] == ("vllm", "bench", "serve")
    assert option(argv, "--dataset-name") == "timed_trace" and option(argv, "--dataset-path") == "trace.jsonl"
    assert option(argv, "--timed-trace-chunk-hash-size") == "32" and option(argv, "--num-prompts") == "3"
    assert option(argv, "--base-url") == "http://127.0.0.1:1" and option(argv, "--endpoint") == "/v1/completions"
    assert option(argv, "--max-concurrency") == "2" and option(argv, "--tokenizer") == "/models/m"
    assert {"--save-result", "--save-detailed", "--ignore-eos"} <= set(argv)


def test_vllm_without_traces_is_told_shape_and_rate() -> None:
    asked = point(*poisson(200, 5.0, 64, 16).asked)
    argv = vllm_serve_argv(["vllm"], asked, target(api=Api.CHAT))
    assert option(argv, "--backend") == "openai-chat" and option(argv, "--dataset-name") == "random"
    assert (option(argv, "--random-input-len"), option(argv, "--random-output-len")) == ("64", "16")
    assert float(option(argv, "--request-rate")) == pytest.approx(5.0, rel=0.2)
    assert option(argv, "--burstiness") == "1" and "--max-concurrency" not in argv
    at_once = vllm_serve_argv(["vllm"], point(concurrency=2), target())
    assert option(at_once, "--request-rate") == "inf"


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([Asked(0.0, 8, 3), Asked(0.0, 9, 3)], "differ in length"),
        ([Asked(0.0, 8, 3, 1, 4), Asked(0.0, 8, 3)], "prefixes"),
        ([Asked(at_s, 8, 3) for at_s in (0.0, 0.001, 0.002, 0.003, 0.004, 50.0)], "neither constant nor Poisson"),
    ],
)
def test_vllm_without_traces_refuses_what_it_has_no_words_for(requests: list[Asked], reason: str) -> None:
    with pytest.raises(BenchError, match=reason):
        vllm_serve_argv(["vllm"], point(*requests), target())


def test_points_get_prompts_of_their_own() -> None:
    first, rest = point(), point(indices=(5, 6))
    assert tool_seed(first) != tool_seed(rest), "a point that goes on must not find its first requests in a cache"


def test_aiperf_sends_exact_prompts_when_they_are_due() -> None:
    asked = point(Asked(0.0, 8, 3), Asked(0.25, 40, 5), concurrency=1, deadline_s=60.0)
    lines = [json.loads(line) for line in payload_lines(asked, target()).splitlines()]
    assert [line["timestamp"] for line in lines] == [0.0, 250.0]
    assert [line["session_id"] for line in lines] == ["0", "1"]
    assert [len(line["payload"]["prompt"]) for line in lines] == [8, 40]
    assert all(isinstance(token, int) for token in lines[1]["payload"]["prompt"])
    assert lines[1]["payload"]["max_tokens"] == lines[1]["payload"]["min_tokens"] == 5
    assert lines[0]["payload"]["stream"] and lines[0]["payload"]["ignore_eos"]
    argv = aiperf_argv(["aiperf"], asked, target(api_key="sk-1"))
    assert "--fixed-schedule" in argv and option(argv, "--concurrency") == "1"
    assert option(argv, "--request-timeout-seconds") == "60"
    assert not any("sk-1" in word for word in argv)
    with pytest.raises(BenchError, match="text"):
        payload_lines(asked, target(api=Api.CHAT))
    chat = json.loads(payload_lines(asked, target(api=Api.CHAT, prompt=PromptKind.WORDS)).splitlines()[0])
    assert len(chat["payload"]["messages"][0]["content"].split()) == 8


def test_guidellm_is_told_streams_or_a_rate() -> None:
    mixed = (Asked(0.0, 8, 3), Asked(0.0, 9, 4), Asked(0.0, 10, 5))
    closed = guidellm_scenario(point(*mixed, concurrency=2), target(), trace(point(*mixed)))["spec"]
    assert closed["profile"] == {"kind": "concurrent", "streams": [2]}
    assert closed["constraints"] == [{"kind": "max_requests", "count": 3}]
    assert closed["backend"]["request_format"] == "/v1/completions" and "api_key" not in closed["backend"]
    paced = point(Asked(0.0, 8, 3), Asked(0.5, 9, 3), Asked(1.0, 8, 3), concurrency=4)
    spec = guidellm_scenario(paced, target(api_key="sk-1"), trace(paced))["spec"]
    assert spec["profile"] == {"kind": "constant", "rate": [2.0], "max_concurrency": 4}
    assert spec["backend"]["api_key"] == "sk-1"
    uneven = point(*(Asked(at_s, 8, 3) for at_s in (0.0, 0.001, 0.002, 0.003, 0.004, 50.0)))
    with pytest.raises(BenchError, match="neither constant nor Poisson"):
        guidellm_scenario(uneven, target(), trace(uneven))


def test_drivers_have_names() -> None:
    assert DRIVERS[0] == "builtin"
    assert [driver_named(name).name for name in DRIVERS] == list(DRIVERS)
    with pytest.raises(UsageError) as refused:
        driver_named("guidelm")
    assert "guidellm" in refused.value.hint
