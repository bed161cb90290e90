"""Does what will be asked of a GPU's memory fit: vLLM's share and MoRI's symmetric heap, which lies outside of it.

vLLM takes `--gpu-memory-utilization` of the total VRAM; MoRI's heap (MORI_SHMEM_HEAP_SIZE, per GPU) comes on top, as do
RCCL, graphs and what the driver keeps. The rule of ROCm/MAD's preflight for engines with such a heap: at least 20 GiB
must be left. Without a heap that rule does not apply, and only what exceeds the GPU is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pdctl.health.check import Check, Word
from pdctl.health.expectations import Expectations, SlotExpected
from pdctl.health.facts import NodeFacts, NotRead
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.model.reading import Known, Reading, Unknown

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """What one GPU is asked to hold, in bytes."""

    vram_bytes: int
    utilization: float
    heap_bytes: int

    @property
    def left_bytes(self) -> int:
        """What is left for everything else; negative where it does not fit."""
        return self.vram_bytes - int(self.utilization * self.vram_bytes) - self.heap_bytes

    def fits(self, headroom_bytes: int) -> bool:
        return self.left_bytes >= (headroom_bytes if self.heap_bytes else 0)

    def __str__(self) -> str:
        heap = f" + {gib(self.heap_bytes)} MoRI heap" if self.heap_bytes else ""
        return f"{self.utilization:g} x {gib(self.vram_bytes)}{heap} leaves {gib(self.left_bytes)}"


def gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB"


def largest_utilization(vram_bytes: int, heap_bytes: int, headroom_bytes: int) -> float:
    """The largest --gpu-memory-utilization that leaves the headroom, rounded down to a hundredth."""
    return max(0, int(100 * (vram_bytes - heap_bytes - headroom_bytes) / vram_bytes)) / 100


def _judge(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for slot in expected.slots:
        if slot.judged and slot.memory_utilization is not None:
            yield _word(slot, slot.memory_utilization, _smallest_vram(facts, expected, slot), expected)


def _word(slot: SlotExpected, utilization: float, vram: Reading[int], expected: Expectations) -> Word:
    headroom = expected.thresholds.vram_headroom_bytes if slot.heap_bytes else 0
    wanted = f">= {gib(headroom)} left"
    source = "inventory: gpu-memory-utilization, MORI_SHMEM_HEAP_SIZE"
    if isinstance(vram, Unknown):
        return Word(Verdict.UNKNOWN, "unknown", wanted, gpus=slot.gpus, why=vram.reason)
    budget = MemoryBudget(vram.value, utilization, slot.heap_bytes or 0)
    evidence = (Evidence(source, str(budget)), Evidence(vram.source, gib(vram.value)))
    if budget.fits(headroom):
        return Word(Verdict.PASS, str(budget), wanted, gpus=slot.gpus, evidence=evidence)
    largest = largest_utilization(vram.value, budget.heap_bytes, headroom)
    return Word(
        Verdict.FAIL,
        str(budget),
        wanted,
        gpus=slot.gpus,
        evidence=evidence,
        fix=f"set gpu-memory-utilization to {largest:g} or less in pool {slot.pool}, or a smaller MORI_SHMEM_HEAP_SIZE",
        why="the engine would run out of memory after it has loaded its weights",
    )


def _smallest_vram(facts: NodeFacts, expected: Expectations, slot: SlotExpected) -> Reading[int]:
    """The smallest VRAM of the slot's GPUs as measured; the kind's nominal size where that is not known."""
    try:
        measured = facts.vram_bytes(slot.gpus)
    except NotRead:
        measured = ()
    known = [reading for reading in measured if isinstance(reading, Known)]
    if known:
        return min(known, key=lambda reading: reading.value)
    if expected.kind is None:
        return Unknown("neither the node nor the inventory says how much VRAM these GPUs have")
    return Known(expected.kind.vram_bytes, f"nominal size of {expected.kind.name}")


MEMORY_BUDGET = Check(
    "gpu.memory_budget",
    "engines' memory fits the GPUs",
    Severity.BLOCK,
    ("inventory", "/sys/class/drm/*/device/mem_info_vram_total"),
    _judge,
)

CHECKS = (MEMORY_BUDGET,)
