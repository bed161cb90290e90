"""Can one layout hand its KV to another: what lies where on both sides, what must be re-sharded, what is refused.

Rules of MoRI-IO: vLLM 0.33 moriio_connector.py and moriio_connector_usage.md (WRITE since about 0.25, pull request
46332). Of NIXL: pull request 27274 let decode have fewer TP ranks than prefill; before, it had to have as many or more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pdctl.model.deployment import Parallel
from pdctl.model.role import Connector, TransferMode

MORIIO_UNEQUAL_TP_SINCE: Final = (0, 25)
NIXL_FEWER_DECODE_TP_SINCE: Final = (0, 13)


class Verdict(StrEnum):
    """UNKNOWN: it hangs on something that is not known; the finding says on what."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class KvHeads:
    """How the model keeps KV. `heads` is its number of KV heads (GQA, MHA), None where that is not known; with `mla`
    every TP rank keeps the whole latent KV."""

    heads: int | None = None
    mla: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """One layout: its parallelism and over how many nodes an instance of it spreads."""

    parallel: Parallel
    nodes: int = 1

    @property
    def words(self) -> str:
        shape = "x".join(f"{name}{n}" for name, n in (("TP", self.parallel.tp), ("DP", self.parallel.dp)) if n > 1)
        return (shape or "TP1") + ("+EP" if self.parallel.ep else "")


@dataclass(frozen=True, slots=True)
class Handoff:
    """`moves`: what lies where and who sends to whom. `refused`: why it cannot be; `open`: what it hangs on."""

    prefill: Side
    decode: Side
    moves: tuple[str, ...]
    refused: tuple[str, ...]
    open: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        if self.refused:
            return Verdict.NO
        return Verdict.UNKNOWN if self.open else Verdict.YES


def handoff(
    prefill: Side, decode: Side, kv: KvHeads, *, connector: Connector, mode: TransferMode, version: tuple[int, ...]
) -> Handoff:
    """Judge prefill instances of one layout with decode instances of another, over `connector` of that vLLM."""
    refused = tuple(_refusals(prefill, decode, kv, connector, mode, version))
    unknown = () if refused else tuple(_open_questions(prefill, decode, kv))
    moves = (*_moves(prefill.parallel, decode.parallel, kv), *_warnings(prefill.parallel, decode.parallel, connector))
    return Handoff(prefill, decode, moves, refused, unknown)


def heads_per_rank(heads: int, tp: int) -> int:
    """KV heads that one TP rank keeps; one at least (vLLM 0.33 config/model.py get_num_kv_heads)."""
    return max(1, heads // tp)


def _replicated(kv: KvHeads, prefill: Parallel, decode: Parallel) -> bool:
    """Whether every rank of both sides keeps all that any rank of the other needs of it."""
    if kv.mla:
        return True
    return kv.heads is not None and min(prefill.tp, decode.tp) >= kv.heads


def _moves(prefill: Parallel, decode: Parallel, kv: KvHeads) -> Iterator[str]:
    if prefill.dp > 1 or decode.dp > 1:
        yield (
            f"a request lives on one of {prefill.dp} and then on one of {decode.dp} data-parallel ranks: "
            "nothing is re-sharded between them, the request names the rank"
        )
    if prefill.ep or decode.ep:
        yield "expert parallelism spreads weights only: KV does not change with it"
    if kv.mla:
        yield f"MLA: each of decode's {decode.tp} TP ranks takes the whole latent KV, from any prefill rank"
    elif kv.heads is None:
        yield "how many KV heads the model has is not known: what a rank holds cannot be told"
    elif prefill.tp == decode.tp:
        yield f"rank k sends to rank k: {heads_per_rank(kv.heads, prefill.tp)} of {kv.heads} KV heads each"
    else:
        has, wants = heads_per_rank(kv.heads, prefill.tp), heads_per_rank(kv.heads, decode.tp)
        if has == wants:
            yield f"both sides keep {has} KV head(s) a rank, copies of one another: nothing is re-sharded"
        elif wants > has:
            yield f"re-sharded: a decode rank gathers {wants} KV heads from {wants // has} prefill ranks"
        else:
            yield f"re-sharded: a prefill rank's {has} KV heads are split over {has // wants} decode ranks"


def _warnings(prefill: Parallel, decode: Parallel, connector: Connector) -> Iterator[str]:
    if connector is Connector.MORIIO and decode.tp > prefill.tp:
        yield "between GPUs of one node (xGMI), more TP ranks on decode do not work (vLLM 0.33); over RDMA they do"


def _refusals(
    prefill: Side, decode: Side, kv: KvHeads, connector: Connector, mode: TransferMode, version: tuple[int, ...]
) -> Iterator[str]:
    if connector is Connector.NONE:
        yield "no connector: KV cannot be handed over at all"
        return
    small, large = sorted((prefill.parallel.tp, decode.parallel.tp))
    for name, side in (("prefill", prefill), ("decode", decode)):
        heads, tp = kv.heads, side.parallel.tp
        if not kv.mla and heads is not None and heads % tp and tp % heads:
            yield f"{name}: {heads} KV heads do not divide over TP{tp}, nor the other way"
    if large % small:
        yield f"TP{small} and TP{large}: one must be a multiple of the other"
    if connector is Connector.MORIIO:
        yield from _moriio(prefill, decode, kv, mode, version)
    elif prefill.parallel.tp > decode.parallel.tp and not kv.mla and version < NIXL_FEWER_DECODE_TP_SINCE:
        yield f"NIXL before vLLM 0.13 wants as many TP ranks on decode: TP{small} is fewer than TP{large}"


def _moriio(prefill: Side, decode: Side, kv: KvHeads, mode: TransferMode, version: tuple[int, ...]) -> Iterator[str]:
    for name, side in (("prefill", prefill), ("decode", decode)):
        if side.parallel.tp > 1 and side.parallel.dp > 1:
            yield f"{name}: MoRI-IO's listeners of DP and TP ranks collide when both are above 1 (vLLM 0.33)"
        if side.parallel.dp > 1 and side.nodes > 1:
            yield f"{name}: the router cannot pin data-parallel ranks across nodes (vllm-project/router#223)"
    if prefill.parallel.tp == decode.parallel.tp:
        return
    if version < MORIIO_UNEQUAL_TP_SINCE:
        yield "MoRI-IO before vLLM 0.25 wants the same TP on both sides"
    if mode is TransferMode.READ and not _replicated(kv, prefill.parallel, decode.parallel) and kv.heads is not None:
        yield "MoRI-IO READ between unequal TP needs MLA, or no more KV heads than TP ranks: use WRITE, or equal TP"


def _open_questions(prefill: Side, decode: Side, kv: KvHeads) -> Iterator[str]:
    unequal = prefill.parallel.tp != decode.parallel.tp
    if unequal and not kv.mla and kv.heads is None:
        yield "unequal TP hangs on the number of KV heads: give the model's config"
