"""Small layouts and workloads for tests of the performance model."""

from __future__ import annotations

from dataclasses import replace

from pdctl.model.role import Role, TransferMode
from pdctl.perf.layout import InstanceModel, Layout, Placement, TransferModel
from pdctl.perf.step_time import StepConstants
from pdctl.perf.workload import Asked, Workload

ROUND = StepConstants(
    decode_s=10e-3,
    decode_per_seq_s=1e-3,
    decode_per_context_token_s=0.0,
    prefill_s=100e-3,
    prefill_per_token_s=1e-3,
    prefill_per_token_of_all_s=0.0,
    landed_per_token_s=0.0,
)


def mixed(
    count: int = 1,
    *,
    constants: StepConstants = ROUND,
    ranks: int = 1,
    chunk_tokens: int = 8192,
    max_seqs: int = 1024,
    kv_tokens: int | None = None,
    placement: Placement = Placement.LEAST,
) -> Layout:
    """`count` mixed instances alike."""
    one = InstanceModel(Role.MIXED, constants, ranks, chunk_tokens, max_seqs, kv_tokens, placement)
    return Layout((one,) * count)


def split(
    prefill: int,
    decode: int,
    *,
    constants: StepConstants = ROUND,
    mode: TransferMode = TransferMode.WRITE,
    ranks: int = 1,
    max_seqs: int = 1024,
    kv_tokens: int | None = None,
) -> Layout:
    """`prefill` and `decode` instances; 1 kB of KV a token over 1 MB/s, a hand-shake of 10 ms, a proxy of 5 ms."""
    reader = InstanceModel(Role.PREFILL, constants, ranks)
    writer = InstanceModel(Role.DECODE, constants, ranks, max_seqs=max_seqs, kv_tokens=kv_tokens)
    return Layout((reader,) * prefill + (writer,) * decode, TransferModel(mode, 1e3, 1e6, 10e-3, 5e-3))


def offered(*asked: tuple[float, int, int], concurrency: int | None = None) -> Workload:
    """A workload of (at_s, isl, osl)."""
    return Workload(tuple(Asked(*each) for each in asked), concurrency)


def equal_roles(model: InstanceModel, *, per_slot: int = 1) -> dict[Role, tuple[InstanceModel, ...]]:
    """The instances of a slot whose shape is the same in every role. Colocated instances place sequences on their ranks
    as if at random: so the published runs are met best."""
    mixed = replace(model, role=Role.MIXED, placement=Placement.RANDOM)
    return {
        Role.PREFILL: (replace(model, role=Role.PREFILL),) * per_slot,
        Role.DECODE: (replace(model, role=Role.DECODE),) * per_slot,
        Role.MIXED: (mixed,) * per_slot,
    }
