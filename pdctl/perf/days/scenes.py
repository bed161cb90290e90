"""Days that can be played by name: a workload, the fleet it is played on, and the targets it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pdctl.model.deployment import Parallel, Slo
from pdctl.perf import walk
from pdctl.perf.builtin_profiles import R1_MI300X
from pdctl.perf.days import make
from pdctl.perf.days.ratio import Ratio
from pdctl.perf.layout import TransferModel
from pdctl.perf.profile import Limits, Profile
from pdctl.perf.step_time import StepConstants
from pdctl.perf.workload import Workload

WALK_ENGINE = Profile(
    name="walk",
    gpu="mi355x",
    model="as the walk's",
    parallel=Parallel(tp=8, dp=1, ep=True),
    constants=StepConstants(20e-3, 9.0e-3, 0.0, 30e-3, 73.5e-6, 0.0, 0.0),
    source="chosen, not fitted: each phase of the walk, played alone, is met best by the split it is named after",
    transfer=TransferModel(handshake_s=10e-3),
    limits=MappingProxyType({role: Limits(chunk_tokens=16384) for role in make.ROLES}),
)
"""An engine for the walk: 1.06 s for a prompt of 14000 tokens; 29 ms a token alone, 60 ms with three others."""


@dataclass(frozen=True, slots=True)
class Scene:
    """`bin_s`: how often the oracle may change its split. `right`: which split suits which moment, as (until, split),
    where the workload was made that way."""

    name: str
    workload: Workload
    instances: int
    profile: Profile
    slo: Slo
    bin_s: float = 900.0
    right: tuple[tuple[float, Ratio], ...] = ()


R1_SLO = Slo(ttft_s=15.0, itl_s=0.100, attainment=0.95)
"""A prompt of 8K takes 4 to 5.5 s to read there, and a decode step with 34 sequences on every rank 90 ms."""


def _walk(seed: int, hours: float | None, rate: float) -> Scene:
    phase_s = hours * 3600.0 / len(walk.ORDER) if hours else walk.PHASE_S
    right = tuple((one.end_s, Ratio(one.prefill, one.decode)) for one in walk.stations(phase_s))
    offered = walk.walk(rate, phase_s=phase_s, seed=seed)
    return Scene("walk", offered, walk.ENGINES, WALK_ENGINE, walk.SLO, phase_s, right)


def _day(name: str, draw: Callable[..., Workload], usual_per_s: float, usual_h: float) -> Callable[..., Scene]:
    def scene(seed: int, hours: float | None, rate: float) -> Scene:
        workload = draw(seed, span_s=(hours or usual_h) * make.HOUR_S, rate_per_s=usual_per_s * rate)
        return Scene(name, workload, 5, R1_MI300X, R1_SLO)

    return scene


SCENES: Mapping[str, Callable[[int, float | None, float], Scene]] = MappingProxyType(
    {
        "smooth": _day("smooth", make.smooth, 1.45, 24),
        "bursts": _day("bursts", make.bursts, 1.3, 24),
        "alternation": _day("alternation", make.alternation, 1.45, 24),
        "ramp": _day("ramp", make.ramp, 24.0, 6),
        "walk": _walk,
    }
)
"""By name: (seed, hours, times the usual rate) -> scene."""
