"""Rate matching that keeps promises: with latency targets, headroom and the cost of moving KV. Pure.

What the plain match leaves out is that prefill at its peak throughput makes requests wait without bound, that a decode
point may be slower for its users than promised, and that KV has to get from one to the other.

* TTFT. Where a prefill width was measured at several concurrencies, its best point whose TTFT is within the target is
  what it can do; a TTFT that was not measured is concurrency x ISL / throughput, which in a closed loop is its mean
  (Little's law). Where only a throughput is known, one request is taken to need s = ISL / throughput, and the load at
  which requests that come at random (Poisson) wait too long follows from the M/D/1 queue: its mean wait is
  s * rho / (2 (1 - rho)) (Pollaczek-Khinchine). `Rule.AICONFIGURATOR` replaces this by the rule of NVIDIA's
  AIConfigurator: 0.9 of the prefill and 0.92 of the decode throughput, and s * 1.8 within the target.
* TPOT and ITL. Decode points whose users get tokens more slowly are left out.
* Headroom. A share of the measured throughput that is kept free, of prefill, and of decode if asked for.
* KV. A transfer takes ISL * bytes / (GPUs of the narrower side * bandwidth of one). With READ it is a part of TTFT;
  with WRITE layers move while prefill computes, and nothing is added. Either way it bounds the rate of both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pdctl.bench.sizing.match import Matched, matched
from pdctl.bench.sizing.points import AggregatedPoint, DecodePoint, PrefillPoint, Profile, Width
from pdctl.model.role import TransferMode

AIC_PREFILL: Final = 0.9
AIC_DECODE: Final = 0.92
AIC_TTFT: Final = 1.8
"""AIConfigurator's degradations of prefill and decode throughput in disaggregated serving, and of TTFT by queueing."""

LINK_BYTES_PER_S: Final = 20e9
"""What one GPU's link carries where nobody said it: a 200 Gb/s NIC at 80 %."""


class Rule(StrEnum):
    """How waiting is foreseen where it was not measured."""

    MD1 = "md1"
    AICONFIGURATOR = "aiconfigurator"


@dataclass(frozen=True, slots=True)
class Slo:
    """Targets of one request; None: none."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    itl_s: float | None = None


@dataclass(frozen=True, slots=True)
class Headroom:
    """The shares of the measured throughputs that are kept free, from 0 to below 1."""

    prefill: float = 0.0
    decode: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.prefill < 1 and 0 <= self.decode < 1):
            raise ValueError("headroom is a share, from 0 to below 1")


@dataclass(frozen=True, slots=True)
class KvCost:
    """Bytes of KV of one prompt token, and what one GPU's link carries."""

    bytes_per_token: float
    bytes_per_s: float
    mode: TransferMode = TransferMode.WRITE

    def transfer_s(self, isl: int, prefill: Width, decode: Width) -> float:
        """How long the KV of a prompt is on its way; every GPU has a link of its own."""
        return isl * self.bytes_per_token / (min(prefill.gpus, decode.gpus) * self.bytes_per_s)

    def requests_per_s(self, isl: int, width: Width) -> float:
        """So many prompts' KV an instance can send or take in a second."""
        return width.gpus * self.bytes_per_s / (isl * self.bytes_per_token)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a match beyond the plain one."""

    slo: Slo = Slo()
    headroom: Headroom = Headroom()
    kv: KvCost | None = None
    rule: Rule = Rule.MD1

    @property
    def plain(self) -> bool:
        return self == Terms()


@dataclass(frozen=True, slots=True)
class Usable:
    """What one prefill instance can do within the terms: tokens a second, the TTFT that is foreseen, and why it is less
    than the peak (one clause; "": it is not)."""

    tps: float
    ttft_s: float | None
    point: PrefillPoint
    why: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A decode point that does not keep the terms."""

    point: DecodePoint
    why: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A decode point within the terms, with the prefill that it needs. `usable`: of the chosen prefill width; `bound`:
    what holds its rate below its own throughput ("": nothing)."""

    matched: Matched
    usable: Usable
    bound: str = ""


def slo_match(profile: Profile, terms: Terms) -> tuple[Kept | Dropped, ...]:
    """Every decode point of `profile`, in its order."""
    return tuple(_one(profile, point, terms) for point in profile.decode)


def kept(rows: tuple[Kept | Dropped, ...]) -> Iterator[Kept]:
    return (row for row in rows if isinstance(row, Kept))


def _one(profile: Profile, point: DecodePoint, terms: Terms) -> Kept | Dropped:
    slow = too_slow(point, terms.slo)
    if slow:
        return Dropped(point, slow)
    able = {width: usable(profile, width, point.width, terms) for width in profile.widths()}
    fits = {width: each for width, each in able.items() if isinstance(each, Usable)}
    if not fits:
        return Dropped(point, "; ".join(str(why) for why in dict.fromkeys(able.values())))
    rate, bound = decode_rate(profile, point, terms)
    capacity = {width: each.tps for width, each in fits.items()}
    row = matched(point, rate, profile.isl, capacity, rate * profile.osl)
    return Kept(row, fits[row.width], bound)


def too_slow(point: DecodePoint | AggregatedPoint, slo: Slo) -> str:
    """Why users of this point would get their tokens too slowly, or ""."""
    for name, target, measured in (("TPOT", slo.tpot_s, point.tpot), ("ITL", slo.itl_s, point.itl)):
        if target is None:
            continue
        value, how = 1 / point.tpsu, "1/TPSU"
        if measured is not None and measured.s > value:
            value, how = measured.s, measured.statistic or "measured"
        if value > target * (1 + 1e-9):
            return f"{name} {value * 1e3:.4g} ms ({how}) is above {target * 1e3:g} ms"
    return ""


def decode_rate(profile: Profile, point: DecodePoint, terms: Terms) -> tuple[float, str]:
    """Requests a second that one decode instance takes within the terms, and what bounds it."""
    share = 1 - terms.headroom.decode
    bound = f"{terms.headroom.decode:.0%} headroom" if terms.headroom.decode else ""
    if terms.rule is Rule.AICONFIGURATOR:
        share, bound = share * AIC_DECODE, bound or f"AIConfigurator's {AIC_DECODE:g}"
    rate = point.tps * share / profile.osl
    if terms.kv is not None:
        link = terms.kv.requests_per_s(profile.isl, point.width)
        if link < rate:
            return link, f"the KV link carries {link:.3g} req/s"
    return rate, bound


def usable(profile: Profile, width: Width, decode: Width, terms: Terms) -> Usable | str:
    """What a prefill instance of `width` can do for a decode instance of width `decode`; or why nothing."""
    budget = terms.slo.ttft_s
    transfer_s = 0.0
    if terms.kv is not None and terms.kv.mode is TransferMode.READ:
        transfer_s = terms.kv.transfer_s(profile.isl, width, decode)
    found = _within(profile, width, None if budget is None else budget - transfer_s, terms.rule)
    if isinstance(found, str):
        sent = f" with {transfer_s * 1e3:.3g} ms of KV transfer" if transfer_s else ""
        return f"{width.label}: {found}{sent}"
    tps, why = found.tps, [found.why] if found.why else []
    if terms.headroom.prefill:
        tps *= 1 - terms.headroom.prefill
        why.append(f"{terms.headroom.prefill:.0%} headroom")
    if terms.kv is not None:
        link = terms.kv.requests_per_s(profile.isl, width) * profile.isl
        if link < tps:
            tps = link
            why.append("the KV link")
    ttft_s = None if found.ttft_s is None else found.ttft_s + transfer_s
    return Usable(tps, ttft_s, found.point, ", ".join(why))


def _within(profile: Profile, width: Width, budget_s: float | None, rule: Rule) -> Usable | str:
    """The most that a prefill width does with its TTFT within `budget_s`, before headroom and links."""
    peak = profile.peak(width)
    share = AIC_PREFILL if rule is Rule.AICONFIGURATOR else 1.0
    cut = f"AIConfigurator's {share:g}" if share < 1 else ""
    points = [point for point in profile.prefill if point.width == width]
    curve = {point: ttft for point in points if (ttft := closed_loop_ttft_s(point, profile.isl)) is not None}
    if budget_s is None:
        return Usable(peak.tps * share, curve.get(peak), peak, cut)
    if curve:
        return _on_curve(curve, peak, budget_s, share, cut)
    alone_s = profile.isl / peak.tps
    if rule is Rule.AICONFIGURATOR:
        if alone_s * AIC_TTFT > budget_s:
            return f"TTFT {alone_s * AIC_TTFT * 1e3:.4g} ms is above the target"
        return Usable(peak.tps * share, alone_s * AIC_TTFT, peak, cut)
    rho = md1_load(alone_s, budget_s)
    if rho <= 0:
        return f"one prompt alone takes {alone_s * 1e3:.4g} ms, which leaves nothing of the TTFT target"
    return Usable(peak.tps * rho, budget_s, peak, f"{rho:.0%} of its peak keep TTFT (M/D/1)")


def _on_curve(
    curve: Mapping[PrefillPoint, float], peak: PrefillPoint, budget_s: float, share: float, cut: str
) -> Usable | str:
    """The best measured point whose TTFT is within `budget_s`."""
    fits = [point for point, ttft in curve.items() if ttft <= budget_s * (1 + 1e-9)]
    if not fits:
        least = min(curve.values())
        return f"TTFT {least * 1e3:.4g} ms at its least concurrency is above the target"
    best = max(fits, key=lambda point: point.tps)
    why = [cut] if cut else []
    if best.tps < peak.tps:
        why.append(f"TTFT holds at concurrency {best.concurrency:g}" if best.concurrency else "TTFT")
    return Usable(best.tps * share, curve[best], best, ", ".join(why))


def closed_loop_ttft_s(point: PrefillPoint, isl: int) -> float | None:
    """The measured TTFT, or by Little's law that of a closed loop of prompts; None where there is no concurrency."""
    if point.ttft is not None:
        return point.ttft.s
    return None if point.concurrency is None else point.concurrency * isl / point.tps


def md1_load(service_s: float, within_s: float) -> float:
    """The highest load (0..1) of an M/D/1 queue whose mean wait and service stay within `within_s`; 0: none.

    From wait = s rho / (2 (1 - rho)) <= b s follows rho <= 2 b / (1 + 2 b).
    """
    spare = within_s / service_s - 1
    return 2 * spare / (1 + 2 * spare) if spare > 0 else 0.0
