"""Rate matching: how many GPUs of prefill keep one decode instance busy. Pure.

The method is that of the llm-d / AMD article "LLM-D Serving for AMD Instinct GPUs on OCI" and of its repository
tlrmchlsmth/j-pareto (`pd-config/collect.py`): for a decode point of T_d tokens a second at concurrency C, requests a
second are T_d / OSL, prefill has to read ISL times as many tokens, every prefill width needs
ceil(demand / T_p) instances of its GPUs, and the width with fewest GPUs wins. It knows no latency target, no headroom
and no cost of moving KV: `slo_match` adds them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.bench.sizing.points import DecodePoint, Profile, Width

WHOLE = 1e-9
"""A need that is above a whole number by less than this share of it is that number: rounding of a division."""


@dataclass(frozen=True, slots=True)
class Matched:
    """One decode instance at one of its points, and the prefill that it needs.

    `demand_tps`: prompt tokens a second; `p_gpus`: by prefill width, the GPUs that it would take; `width`: the one that
    takes fewest, the narrower of equals. `tpsg`: output tokens a second and GPU, of prefill and decode together.
    """

    point: DecodePoint
    requests_per_s: float
    demand_tps: float
    p_gpus: Mapping[Width, int]
    width: Width
    tpsg: float

    @property
    def best_p_gpus(self) -> int:
        return self.p_gpus[self.width]

    @property
    def instances(self) -> int:
        """Prefill instances beside one decode instance."""
        return self.best_p_gpus // self.width.gpus

    @property
    def total_gpus(self) -> int:
        return self.point.width.gpus + self.best_p_gpus

    @property
    def tpsu(self) -> float:
        return self.point.tpsu

    @property
    def candidate(self) -> str:
        """As the article names its candidates: `2p-tp1-1d-tp2`."""
        return f"{self.instances}p-{self.width.label}-1d-{self.point.width.label}"


def match(profile: Profile) -> tuple[Matched, ...]:
    """Every decode point of `profile`, in its order, with the prefill that it needs at prefill's peak throughput."""
    capacity = {width: profile.peak(width).tps for width in profile.widths()}
    return tuple(matched(point, point.tps / profile.osl, profile.isl, capacity, point.tps) for point in profile.decode)


def matched(
    point: DecodePoint, requests_per_s: float, isl: int, capacity: Mapping[Width, float], tokens_per_s: float
) -> Matched:
    """`point` that takes `requests_per_s`, fed by prefill instances of `capacity` tokens a second (not empty)."""
    demand = requests_per_s * isl
    p_gpus = {width: instances_for(demand, tps) * width.gpus for width, tps in capacity.items()}
    best = min(p_gpus, key=lambda width: (p_gpus[width], width))
    return Matched(point, requests_per_s, demand, p_gpus, best, tokens_per_s / (point.width.gpus + p_gpus[best]))


def instances_for(demand_tps: float, tps: float) -> int:
    """The least whole number of instances of `tps` tokens a second that read `demand_tps`; at least one."""
    return max(1, math.ceil(demand_tps / tps * (1 - WHOLE)))
