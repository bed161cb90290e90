"""Whole numbers for a fleet: which instances, how many of each, serve most requests on these GPUs. Pure.

An instance lies within one node. The plain match gives a ratio of one decode instance; on a fleet that ratio rarely
comes out even, so every number of prefill instances is tried, with as many decode instances as the nodes then hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pdctl.bench.sizing.match import WHOLE
from pdctl.bench.sizing.points import AggregatedPoint, DecodePoint, Profile, Width
from pdctl.bench.sizing.slo_match import Terms, Usable, decode_rate, too_slow, usable


@dataclass(frozen=True, slots=True)
class FleetMatch:
    """`requests_per_s`: what the scarcer side lets through; `prefill_per_s`, `decode_per_s`: what each could do."""

    prefill: int
    prefill_width: Width
    decode: int
    point: DecodePoint
    usable: Usable
    requests_per_s: float
    prefill_per_s: float
    decode_per_s: float
    gpus: int
    idle: int
    osl: int

    @property
    def used(self) -> int:
        return self.gpus - self.idle

    @property
    def tpsg(self) -> float:
        """Output tokens a second and GPU of the whole fleet, idle GPUs counted."""
        return self.requests_per_s * self.osl / self.gpus

    @property
    def name(self) -> str:
        """`8p-tp1-4d-tp2`."""
        return f"{self.prefill}p-{self.prefill_width.label}-{self.decode}d-{self.point.width.label}"


@dataclass(frozen=True, slots=True)
class FleetAggregated:
    """The same GPUs as instances that do both phases."""

    instances: int
    point: AggregatedPoint
    requests_per_s: float
    gpus: int
    idle: int

    @property
    def name(self) -> str:
        return f"{self.instances}x-agg-{self.point.width.label}"


def fleet_match(profile: Profile, nodes: Sequence[int], terms: Terms) -> FleetMatch | None:
    """The layout of `nodes` (GPUs of each) with the highest rate of requests within `terms`; None: there is none.

    Among equals: fewer GPUs in use, then the higher rate per user, then the narrower instances.
    """
    return min(_layouts(profile, nodes, terms), key=_worse, default=None)


def best_layouts(profile: Profile, nodes: Sequence[int], terms: Terms) -> tuple[FleetMatch, ...]:
    """The best layout of every pair of widths, the best first."""
    best: dict[tuple[Width, Width], FleetMatch] = {}
    for each in _layouts(profile, nodes, terms):
        pair = (each.prefill_width, each.point.width)
        if pair not in best or _worse(each) < _worse(best[pair]):
            best[pair] = each
    return tuple(sorted(best.values(), key=_worse))


def fleet_aggregated(profile: Profile, nodes: Sequence[int], terms: Terms) -> FleetAggregated | None:
    """The best of the profile's aggregated points on all of `nodes`, within `terms`."""
    found = []
    for point in profile.aggregated:
        late = terms.slo.ttft_s is not None and point.ttft is not None and point.ttft.s > terms.slo.ttft_s
        count = sum(gpus // point.width.gpus for gpus in nodes)
        if count and not late and not too_slow(point, terms.slo):
            rate = count * point.tps * (1 - terms.headroom.decode) / profile.osl
            found.append(FleetAggregated(count, point, rate, sum(nodes), sum(nodes) - count * point.width.gpus))
    return max(found, key=lambda each: each.requests_per_s, default=None)


def _worse(layout: FleetMatch) -> tuple[float, int, float, Width, Width]:
    rate = float(f"{layout.requests_per_s:.9g}")  # equal up to rounding is equal
    return -rate, layout.used, -layout.point.tpsu, layout.prefill_width, layout.point.width


def _layouts(profile: Profile, nodes: Sequence[int], terms: Terms) -> Iterator[FleetMatch]:
    room: dict[tuple[int, int], list[int]] = {}
    for point in profile.decode:
        if too_slow(point, terms.slo):
            continue
        decode_each, _ = decode_rate(profile, point, terms)
        for width in profile.widths():
            able = usable(profile, width, point.width, terms)
            if isinstance(able, str):
                continue
            sizes = (width.gpus, point.width.gpus)
            if sizes not in room:
                room[sizes] = beside(nodes, *sizes)
            yield from _of_pair(profile, nodes, able, width, point, decode_each, room[sizes])


def _of_pair(
    profile: Profile,
    nodes: Sequence[int],
    able: Usable,
    width: Width,
    point: DecodePoint,
    decode_each: float,
    room: Sequence[int],
) -> Iterator[FleetMatch]:
    """One layout for every number of prefill instances, without instances that the other side could not keep busy."""
    prefill_each = able.tps / profile.isl
    total = sum(nodes)
    for prefill in range(1, len(room)):
        if not room[prefill]:
            break
        rate = min(prefill * prefill_each, room[prefill] * decode_each)
        decode = min(room[prefill], max(1, _ceil(rate / decode_each)))
        idle = total - prefill * width.gpus - decode * point.width.gpus
        rates = (prefill * prefill_each, decode * decode_each)
        yield FleetMatch(prefill, width, decode, point, able, min(rates), *rates, total, idle, profile.osl)


def beside(nodes: Sequence[int], prefill_gpus: int, decode_gpus: int) -> list[int]:
    """At index n: the most decode instances that fit on `nodes` beside n prefill instances, none across two nodes."""
    most = [0]
    for gpus in nodes:
        here = [(gpus - count * prefill_gpus) // decode_gpus for count in range(gpus // prefill_gpus + 1)]
        longer = [0] * (len(most) + len(here) - 1)
        for before, decode in enumerate(most):
            for count, more in enumerate(here):
                longer[before + count] = max(longer[before + count], decode + more)
        most = longer
    return most


def _ceil(value: float) -> int:
    return -int(-value * (1 - WHOLE) // 1)
