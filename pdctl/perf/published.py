"""The published tables as runs that can be simulated: which layouts they were, and what was measured.

What the sources do not say is stated here as a prior: KV bytes per token from the models' shapes, 20 GB/s of RDMA and a
hand-shake of 10 ms; a balancer that gives requests to any instance, and in mixed instances to any rank; vLLM's default
chunk of 8192 tokens a rank.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from pdctl.model.role import Role, TransferMode
from pdctl.perf.layout import InstanceModel, Layout, Placement, Policy, TransferModel
from pdctl.perf.step_time import StepConstants

R1_KV_BYTES = 61 * 576 * 2.0
"""DeepSeek R1: 61 layers of MLA with 512 + 64 latent values a token, in bf16."""
QWEN3_KV_BYTES = 94 * 2 * 4 * 128 * 2.0
"""Qwen3-235B-A22B: 94 layers, keys and values of 4 KV heads of 128, in bf16."""
BANDWIDTH_BYTES_PER_S = 20e9
HANDSHAKE_S = 10e-3


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
    transfer = TransferModel(TransferMode.WRITE, R1_KV_BYTES, BANDWIDTH_BYTES_PER_S, HANDSHAKE_S)
    if words.endswith("M"):
        mixed = InstanceModel(Role.MIXED, constants, ranks=8, placement=Placement.RANDOM)
        return Layout((mixed,) * int(words[:-1]), transfer, Policy.RANDOM)
    prefill, decode = words.removesuffix("D").split("P")
    reader = InstanceModel(Role.PREFILL, constants, ranks=8)
    writer = InstanceModel(Role.DECODE, constants, ranks=8)
    return Layout((reader,) * int(prefill) + (writer,) * int(decode), transfer, Policy.RANDOM)


def mori_layout(row: MoriRow, constants: StepConstants, proxy_s: float) -> Layout:
    """`2M`, or `1P1D` with the article's chunk of 4096 tokens. Its `max_num_seqs 64` is left out: with 1000 tokens out
    it cannot give the 100 of 100 that it reports at 5 requests a second."""
    mode = TransferMode.READ if row.mode == "read" else TransferMode.WRITE
    transfer = TransferModel(mode, QWEN3_KV_BYTES, BANDWIDTH_BYTES_PER_S, HANDSHAKE_S, proxy_s)
    if row.layout == "2M":
        return Layout((InstanceModel(Role.MIXED, constants),) * 2, transfer)
    pair = (InstanceModel(role, constants, chunk_tokens=4096) for role in (Role.PREFILL, Role.DECODE))
    return Layout(tuple(pair), transfer)


def _table(name: str) -> Iterator[dict[str, str]]:
    text = resources.files("pdctl.perf").joinpath("data", name).read_text()
    return csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
