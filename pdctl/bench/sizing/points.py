"""Throughputs of the phases, measured apart: the points that rate matching is done on. Figures only, no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    PREFILL = "prefill"
    DECODE = "decode"
    AGGREGATED = "aggregated"


@dataclass(frozen=True, slots=True, order=True)
class Width:
    """How many GPUs one instance spans, and how. Ordered by GPUs, then TP, then DP: the narrower first."""

    gpus: int
    tp: int
    dp: int = 1

    @property
    def label(self) -> str:
        """`tp2`, `tp1dp8`; with the GPUs where they are not TP x DP: `tp1g8`."""
        dp = f"dp{self.dp}" if self.dp > 1 else ""
        gpus = f"g{self.gpus}" if self.gpus != self.tp * self.dp else ""
        return f"tp{self.tp}{dp}{gpus}"


@dataclass(frozen=True, slots=True)
class Latency:
    """A measured latency, and which of its statistics it is: "p99", "p90", "median", "mean", or "" where unsaid."""

    s: float
    statistic: str = ""


@dataclass(frozen=True, slots=True)
class PrefillPoint:
    """One prefill instance at a concurrency (None: not said): tokens a second, in total, with OSL 1."""

    width: Width
    tps: float
    concurrency: float | None = None
    ttft: Latency | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the profile itself says that matching a decode point gives. `stated`: the figures as they were written, by
    the name of their column (`prefill_demand_tok_s`, `p_gpus_<width>`, `best_p_gpus`, `total_gpus`, `tpsu`, `tpsg`)."""

    stated: Mapping[str, str]
    place: str


@dataclass(frozen=True, slots=True)
class DecodePoint:
    """One decode instance at a concurrency: output tokens a second."""

    width: Width
    tps: float
    concurrency: float
    tpot: Latency | None = None
    itl: Latency | None = None
    source: str = ""
    claim: Claim | None = None

    @property
    def tpsu(self) -> float:
        """Output tokens a second of one user: throughput / concurrency."""
        return self.tps / self.concurrency


@dataclass(frozen=True, slots=True)
class AggregatedPoint:
    """One instance that does both phases, at a concurrency: output tokens a second."""

    width: Width
    tps: float
    concurrency: float
    ttft: Latency | None = None
    tpot: Latency | None = None
    itl: Latency | None = None
    source: str = ""

    @property
    def tpsu(self) -> float:
        return self.tps / self.concurrency

    @property
    def tpsg(self) -> float:
        return self.tps / self.width.gpus


@dataclass(frozen=True, slots=True)
class Profile:
    """All points of one model and one shape of requests. `isl`, `osl`: tokens in and out of a request."""

    model: str
    isl: int
    osl: int
    prefill: tuple[PrefillPoint, ...]
    decode: tuple[DecodePoint, ...]
    aggregated: tuple[AggregatedPoint, ...] = ()
    kv_bytes_per_token: float | None = None
    kv_bytes_per_s: float | None = None
    ignored: tuple[str, ...] = field(default=())

    def widths(self) -> tuple[Width, ...]:
        """The prefill widths, the narrowest first."""
        return tuple(sorted({point.width for point in self.prefill}))

    def peak(self, width: Width) -> PrefillPoint:
        """The prefill point of `width` with most tokens a second, over all its concurrencies."""
        return max((point for point in self.prefill if point.width == width), key=lambda point: point.tps)
