"""What a sweep's directory holds, as the profile that `bench match` reads: each figure with the run that it is from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pdctl.bench.figures.spread import Spread
from pdctl.bench.runs.directory import holds_run
from pdctl.bench.runs.read import ReadPoint, read_run
from pdctl.bench.sizing.points import Phase
from pdctl.bench.sweeps.configuration import Configuration

PROFILE = "profile.yaml"


def profile_text(directory: Path, configurations: Iterable[Configuration], model: str) -> str:
    """The YAML; "" where nothing is measured. Points in which requests failed are left out, and named.

    Raises BenchError where a run cannot be read.
    """
    rows: dict[Phase, list[str]] = {phase: [] for phase in Phase}
    left_out: list[str] = []
    for configuration in configurations:
        path = directory / configuration.name
        if not holds_run(path):
            continue
        for point in read_run(path).done:
            assert point.figures is not None
            failed = point.figures.counts.failed
            if failed or not point.figures.counts.ok:
                left_out.append(f"# left out: {point.id}: {failed} requests failed\n")
            else:
                rows[configuration.phase].append(f"  - {_flow(_row(configuration, point))}\n")
    if not any(rows.values()):
        return ""
    head = "# Written by `pdctl bench sweep`; `source` is below this file's directory.\n"
    body = "".join(f"{phase}:\n{''.join(lines)}" for phase, lines in rows.items() if lines)
    return f"{head}{''.join(left_out)}model: {json.dumps(model)}\n{body}"


def _row(configuration: Configuration, point: ReadPoint) -> Iterator[tuple[str, Any]]:
    figures, width, note = point.figures, configuration.width, point.note
    assert figures is not None
    isl, osl = note.scenario.split("-")
    prefill = configuration.phase is Phase.PREFILL
    yield from (("tp", width.tp), ("dp", width.dp), ("gpus", width.gpus), ("isl", int(isl)))
    if not prefill:
        yield "osl", int(osl)
    yield "concurrency", note.concurrency
    yield ("total_tok_s", round(figures.tps_total, 2)) if prefill else ("output_tok_s", round(figures.tps_out, 2))
    if configuration.phase is not Phase.DECODE:
        yield from _spread("ttft", figures.ttft)
    if not prefill:
        yield from _spread("tpot", figures.tpot)
        yield from _spread("itl", figures.itl)
    yield from (("seed", note.seed), ("requests", figures.counts.ok))
    yield "source", f"{configuration.name}/points/{point.id}"


def _spread(name: str, spread: Spread | None) -> Iterator[tuple[str, float]]:
    if spread is not None:
        yield f"mean_{name}_ms", round(spread.mean_s * 1e3, 3)
        yield f"p99_{name}_ms", round(spread.p99_s * 1e3, 3)


def _flow(pairs: Iterable[tuple[str, Any]]) -> str:
    return "{" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in pairs) + "}"
