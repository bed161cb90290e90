"""Targets that no split can meet: below what one engine takes for one request alone."""

from __future__ import annotations

from dataclasses import dataclass

from pdctl.advisor.split import Fleet
from pdctl.model.deployment import Slo
from pdctl.model.role import Role
from pdctl.perf.step_time import RankLoad, step_time_s


@dataclass(frozen=True, slots=True)
class Floor:
    """Seconds of the quickest instance: a decode step of one sequence, and the first token of one prompt with nobody
    else there."""

    itl_s: float
    ttft_s: float


def floor(fleet: Fleet, isl: float, osl: float) -> Floor:
    """What the best of the fleet's instances takes alone."""
    itl = [
        step_time_s(model.constants, [RankLoad(decoding=1, context_tokens=round(isl + osl / 2))])
        for kind in fleet.kinds
        for role in (Role.DECODE, Role.MIXED)
        for model in kind.instances.get(role, ())
    ]
    ttft = []
    for kind in fleet.kinds:
        for model in kind.instances.get(Role.PREFILL, ()):
            whole, rest = divmod(round(isl), model.chunk_tokens)
            chunks = [model.chunk_tokens] * whole + ([rest] if rest else [])
            read_s = sum(step_time_s(model.constants, [RankLoad(prompt_tokens=tokens)]) for tokens in chunks)
            ttft.append(read_s + fleet.transfer.after_prefill_s(round(isl)))
    return Floor(min(itl), min(ttft) + min(itl))


def beyond(slo: Slo, found: Floor) -> tuple[str, ...]:
    """Which targets lie under the floor, in words; empty where none does."""
    missed = []
    if slo.itl_s < found.itl_s:
        missed.append(
            f"ITL {slo.itl_s * 1e3:.0f} ms: a decode step of one request alone takes {found.itl_s * 1e3:.0f} ms"
        )
    if slo.ttft_s < found.ttft_s:
        missed.append(f"TTFT {slo.ttft_s:g} s: a prompt alone takes {found.ttft_s:.2f} s to its first token")
    return tuple(missed)
