"""Why one split is ahead of another, in words with figures: which pool each would fill, and what a user would feel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pdctl.advisor.predict import Predicted
from pdctl.advisor.rank import Objective, Ranking
from pdctl.advisor.split import Fleet
from pdctl.model.deployment import Slo
from pdctl.model.role import Role
from pdctl.perf.closed_form import ClosedForm, Offer
from pdctl.perf.layout import InstanceModel

FULL: Final = 1.0
NEARLY: Final = 0.85


@dataclass(frozen=True, slots=True)
class Busy:
    """How much of what a pool can do is asked of it; 1.0 is all. None: there is no such pool."""

    prefill: float | None
    decode: float | None


def busy(predicted: Predicted, fleet: Fleet, offer: Offer, slo: Slo) -> Busy:
    """By the closed forms, each pool as so many of its first instance."""
    instances = predicted.split.layout.instances
    prefill: Sequence[InstanceModel] = [each for each in instances if each.role is Role.PREFILL]
    decode: Sequence[InstanceModel] = [each for each in instances if each.role is Role.DECODE]
    if not prefill or not decode:
        return Busy(None, None)
    form = ClosedForm(prefill[0], decode[0], fleet.transfer, slo)
    return Busy(form.prefill_load(len(prefill), offer), form.decode_load(len(decode), offer))


def why(predicted: Predicted, fleet: Fleet, offer: Offer, slo: Slo) -> str:
    """One line about one split."""
    if predicted.split.colocated:
        return _colocated(predicted, offer, slo)
    pools = busy(predicted, fleet, offer, slo)
    parts = []
    for name, load in (("prefill", pools.prefill), ("decode", pools.decode)):
        if load is None:
            continue
        if math.isinf(load):
            parts.append(f"{name} cannot meet its target at all")
        elif load < FULL:
            parts.append(f"{name} {load:.0%} busy")
        else:
            parts.append(f"{name} is asked for {load:.0%} of what it can do within its target")
    felt = []
    if predicted.ttft_p99_s.value > slo.ttft_s:
        waits = " (prompts queue)" if (pools.prefill or 0.0) >= NEARLY else ""
        felt.append(f"TTFT p99 {_seconds(predicted.ttft_p99_s.value)} misses {_seconds(slo.ttft_s)}{waits}")
    if predicted.itl_p99_s.value > slo.itl_s:
        felt.append(f"ITL p99 {_seconds(predicted.itl_p99_s.value)} misses {_seconds(slo.itl_s)}")
    return "; ".join((", ".join(parts), *felt))


def _colocated(predicted: Predicted, offer: Offer, slo: Slo) -> str:
    itl_s = predicted.itl_p99_s.value
    if itl_s > slo.itl_s:
        return (
            f"prompts of {offer.isl:.0f} tokens stall the answers beside them: ITL p99 {_seconds(itl_s)} misses "
            f"{_seconds(slo.itl_s)}"
        )
    if predicted.ttft_p99_s.value > slo.ttft_s:
        return f"TTFT p99 {_seconds(predicted.ttft_p99_s.value)} misses {_seconds(slo.ttft_s)}"
    return "prompts and answers share engines without missing a target"


def verdict(ranking: Ranking) -> str:
    """The answer in one line."""
    best = ranking.best
    if ranking.close:
        return f"too close to call between {best.split.words} and {_listed(ranking.close)}"
    mixed = next((each for each in ranking.order if each.split.colocated), None)
    kind = "do not disaggregate" if best.split.colocated else "disaggregate"
    if mixed is None:
        return f"{best.split.words} is best"
    other = mixed if mixed is not best else ranking.order[1] if len(ranking.order) > 1 else None
    if other is None:
        return f"{best.split.words}: there is no other choice"
    return f"{best.split.words} is best: {kind} ({_gain(best, other, ranking.objective)} {other.split.words})"


def _gain(best: Predicted, other: Predicted, objective: Objective) -> str:
    if objective is Objective.GOODPUT and best.attainment.value - other.attainment.value >= 0.01:
        return f"{best.attainment.value:.0%} of requests within both targets, against {other.attainment.value:.0%} of"
    if objective is Objective.THROUGHPUT:
        return f"{best.tokens_per_s.value / other.tokens_per_s.value:.2f}x the tokens a second of"
    return f"{other.e2el_median_s.value / best.e2el_median_s.value:.2f}x as quick end to end as"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _seconds(value: float) -> str:
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.3g} s"
