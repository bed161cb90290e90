"""The scanner reads what prometheus_client reads, of the families that are used."""

from __future__ import annotations

import math
import random

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pdctl.telemetry.families import ENGINE_FAMILIES, ROUTER, scraped_names
from pdctl.telemetry.scan import Scanner
from tests.tool_outputs import names as output_names
from tests.tool_outputs import read
from tests.unit.telemetry.scrapes import NAMES, as_plain, by_library, counter, histogram

PLAIN = (
    "# HELP vllm:num_requests_running Number of requests.\n# TYPE vllm:num_requests_running gauge\n"
    + counter("num_requests_running", 3)
    + counter("request_success_total", 7, finished_reason="stop")
    + histogram("time_to_first_token_seconds", [0.2, 0.4], [0.1, 0.25, 0.5])
    + 'python_info{version="3.11"} 1.0\n'
)


@pytest.mark.parametrize(
    "line",
    [
        'vllm:num_requests_running{engine="0"} 3 1700000000000',
        'vllm:num_requests_running{engine="0",} 3',
        'vllm:num_requests_running {engine="0"} 3',
        '  vllm:num_requests_running{engine="0"} 3  ',
        "vllm:num_requests_running\t3",
        "vllm:num_requests_running 3\r",
        'vllm:num_requests_running{model_name="a \\"b\\" {c}, d=\\\\ e"} 3',
        'vllm:num_requests_running{model_name="spaced name, with = and }"} 3',
        'vllm:num_requests_running{model_name="modèle"} 3',
        "vllm:num_requests_running NaN",
        "vllm:num_requests_running +Inf",
        "vllm:num_requests_running 1e3",
        '{"vllm:num_requests_running",engine="0"} 3',
    ],
)
def test_unusual_lines_are_read_as_the_library_reads_them(line: str) -> None:
    """Twice: what was learnt from the first scrape must not change the second."""
    scanner = Scanner(NAMES)
    for _ in range(2):
        scan = scanner.scan(PLAIN + line + "\n")
        assert scan.damaged == 0
        got, want = as_plain(scan), by_library(PLAIN + line + "\n")
        assert got.keys() == want.keys()
        assert all(got[key] == want[key] or (math.isnan(got[key]) and math.isnan(want[key])) for key in want)


@pytest.mark.parametrize(
    "line",
    [
        'vllm:num_requests_running{engine="0"',
        'vllm:num_requests_running{engine="0"} 1_0',
        'vllm:num_requests_running{engine="0"} three',
        'vllm:num_requests_running{engine="0",engine="1"} 3',
        "vllm:num_requests_running",
    ],
)
def test_a_damaged_line_is_counted_and_gives_no_sample(line: str) -> None:
    with pytest.raises(ValueError):
        list(text_string_to_metric_families(line))
    scan = Scanner(NAMES).scan(line)
    assert scan.damaged == 1
    assert not scan.samples


def test_every_captured_dump_is_read_as_the_library_reads_it() -> None:
    names = scraped_names(ENGINE_FAMILIES + ROUTER)
    for text in _dumps():
        scanner = Scanner(names)
        for _ in range(2):
            assert as_plain(scanner.scan(text)) == by_library(text, names)


def test_mutated_dumps_are_read_as_the_library_reads_them() -> None:
    """Characters dropped, doubled and swapped at random: line by line, the two read the same or both refuse."""
    chance = random.Random(5)
    lines = [line for text in _dumps() for line in text.splitlines() if line.split("{")[0] in NAMES]
    for _ in range(3000):
        line = _mutated(chance.choice(lines), chance)
        scan = Scanner(NAMES).scan(line)
        try:
            want = by_library(line)
        except ValueError:
            assert not scan.samples, line
            continue
        assert as_plain(scan) == pytest.approx(want, nan_ok=True), line


def _dumps() -> list[str]:
    """vLLM 0.32's and vllm-router 0.1.17's own, captured on CPU."""
    found = [name for name in output_names("vllm_metrics") if "metrics" in name.rsplit("/")[-1]]
    texts = [read(name) for name in found or ["vllm_metrics/vllm-0.32-cpu-metrics_decode.txt"]]
    return [text[text.index("# ") :] for text in texts]  # some were captured with the HTTP header


def _mutated(line: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(line)) if line else 0
        other = chance.choice('{}",= \\_#\t0.eEnN+-')
        line = chance.choice(
            (line[:at] + line[at + 1 :], line[:at] + other + line[at:], line[:at] + other + line[at + 1 :])
        )
    return line
