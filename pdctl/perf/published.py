"""The published tables as runs that can be simulated: which layouts they were, and what was measured."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources

from pdctl.model.role import TransferMode
from pdctl.perf.builtin_profiles import BANDWIDTH_BYTES_PER_S as BANDWIDTH_BYTES_PER_S
from pdctl.perf.builtin_profiles import QWEN3_235B_MI300X, R1_MI300X
from pdctl.perf.layout import Layout
from pdctl.perf.step_time import StepConstants
from pdctl.perf.vllm_arrivals import vllm_bench
from pdctl.perf.workload import Workload

MORI_REQUESTS, MORI_ISL, MORI_OSL = 100, 2000, 1000


@dataclass(frozen=True, slots=True)
class R1Row:
    """One row of Moreh's tables: median E2EL, tokens in and out per second, P99 of all gaps (None: not published)."""

    scenario: str
    isl: int
    osl: int
    concurrency: int
    requests: int
    rate_per_s: float
    layout: str
    e2el_s: float
    tokens_per_s: float
    itl_p99_s: float | None


@dataclass(frozen=True, slots=True)
class MoriRow:
    """One point of the MORI-IO article: the share of 100 requests that met both targets."""

    layout: str
    mode: str
    rate_per_s: float
    attained: float
    how: str


def r1_rows() -> tuple[R1Row, ...]:
    """Every row of Moreh's three tables."""
    return tuple(
        R1Row(
            row["scenario"],
            int(row["isl"]),
            int(row["osl"]),
            int(row["concurrency"]),
            int(row["requests"]),
            float(row["rate_per_s"]),
            row["layout"],
            float(row["e2el_s"]),
            float(row["tokens_per_s"]),
            float(row["itl_p99_ms"]) / 1e3 if row["itl_p99_ms"] else None,
        )
        for row in _table("deepseek_r1_mi300x.csv")
    )


def mori_rows() -> tuple[MoriRow, ...]:
    """Every attainment that the article's table or text gives."""
    return tuple(
        MoriRow(row["layout"], row["mode"], float(row["rate_per_s"]), float(row["attained"]), row["how"])
        for row in _table("qwen3_235b_mi300x.csv")
    )


def r1_layout(words: str, constants: StepConstants) -> Layout:
    """`5M`, `2P3D` or `1P4D` of nodes with eight ranks each."""
    return replace(R1_MI300X, constants=constants).layout(words)


def r1_load(row: R1Row) -> Workload:
    """What the row's run was offered: the tool's default seed is taken, so the very moments."""
    return vllm_bench(row.requests, row.rate_per_s, row.isl, row.osl, concurrency=row.concurrency)


def mori_layout(row: MoriRow, constants: StepConstants, proxy_s: float) -> Layout:
    """`2M`, or `1P1D` with the article's chunk of 4096 tokens. Its `max_num_seqs 64` is left out: with 1000 tokens out
    it cannot give the 100 of 100 that it reports at 5 requests a second."""
    mode = TransferMode.READ if row.mode == "read" else TransferMode.WRITE
    transfer = replace(QWEN3_235B_MI300X.transfer, mode=mode, proxy_s=proxy_s)
    return replace(QWEN3_235B_MI300X, constants=constants, transfer=transfer).layout(row.layout)


def mori_load(row: MoriRow) -> Workload:
    """100 requests of 2000 tokens in and 1000 out, at the tool's moments."""
    return vllm_bench(MORI_REQUESTS, row.rate_per_s, MORI_ISL, MORI_OSL)


def _table(name: str) -> Iterator[dict[str, str]]:
    text = resources.files("pdctl.perf").joinpath("data", name).read_text()
    return csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
