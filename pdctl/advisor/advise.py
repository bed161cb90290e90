"""The whole of an advice: a question about one fleet; its answer with reasons, errors, priors and the cost of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pdctl.advisor.fleet_of import Modelled
from pdctl.advisor.floor import beyond, floor
from pdctl.advisor.payback import Payback, payback
from pdctl.advisor.predict import Predicted, predict
from pdctl.advisor.priors import Prior, Situation, that_apply
from pdctl.advisor.rank import Objective, Ranking, rank
from pdctl.advisor.reasons import verdict, why
from pdctl.advisor.split import Fleet, Split, mixed, split_of
from pdctl.errors import TooThin
from pdctl.model.deployment import Slo
from pdctl.perf.arrivals import open_loop
from pdctl.perf.closed_form import Offer
from pdctl.perf.workload import Workload

LEAST_REQUESTS: Final = 200
MOST_REQUESTS: Final = 600
SPAN_S: Final = 300.0
"""An open loop is played for five minutes of offers, within these bounds: enough for a queue to show, quick enough to
answer while somebody waits."""


@dataclass(frozen=True, slots=True)
class Question:
    """`workloads`: one offer drawn with several seeds. `restart_s`: from an engine's stop to its first request."""

    workloads: tuple[Workload, ...]
    slo: Slo
    objective: Objective
    source: str
    restart_s: float = 300.0
    notes: tuple[str, ...] = ()

    @property
    def offer(self) -> Offer:
        """Means over the requests; a closed loop offers nothing by itself (rate 0)."""
        asked = self.workloads[0].asked
        span_s = self.workloads[0].span_s
        rate = (len(asked) - 1) / span_s if span_s > 0 else 0.0
        return Offer(rate, sum(each.isl for each in asked) / len(asked), sum(each.osl for each in asked) / len(asked))


@dataclass(frozen=True, slots=True)
class Answer:
    """`lines`: why, by the words of a split. `now`: the prediction of the present split, None where it is not among
    the choices. `goal`: where to go: of the best one and those that cannot be told from it, the fewest moves away.
    `cost`: of going there, None where that is the present one."""

    question: Question
    ranking: Ranking
    verdict: str
    lines: tuple[tuple[str, str], ...]
    now: Predicted | None
    goal: Predicted
    cost: Payback | None
    priors: tuple[Prior, ...]
    notes: tuple[str, ...]
    profiles: tuple[str, ...]


def steady(rate_per_s: float, isl: float, osl: float, *, seeds: int) -> tuple[Workload, ...]:
    """Poisson offers of one shape, drawn with `seeds` seeds."""
    requests = round(min(MOST_REQUESTS, max(LEAST_REQUESTS, rate_per_s * SPAN_S)))
    return tuple(open_loop(requests, rate_per_s, round(isl), round(osl), seed=seed) for seed in range(seeds))


def advise(modelled: Modelled, question: Question) -> Answer:
    """Raises TooThin where a target lies under what one engine takes alone: no split could meet it."""
    fleet, offer = modelled.fleet, question.offer
    if question.objective is Objective.GOODPUT and (missed := beyond(question.slo, floor(fleet, offer.isl, offer.osl))):
        raise TooThin(
            f"no split can meet it: {'; '.join(missed)}",
            hint="ask for targets above the engine's floor (--slo), or rank by --objective latency or throughput",
        )
    ranking = rank(fleet, question.workloads, question.slo, modelled.error, objective=question.objective)
    now = _now(modelled, ranking)
    lines = tuple((each.split.words, why(each, fleet, _served(each, offer), question.slo)) for each in ranking.order)
    goal, cost = goal_of(ranking, now), None
    if now is not None and now is not goal:

        def foresee(split: Split) -> Predicted:
            return predict(split, question.workloads, question.slo, modelled.error)

        cost = payback(fleet, now, goal, foresee, restart_s=question.restart_s)
    return Answer(
        question,
        ranking,
        verdict(ranking),
        lines,
        now,
        goal,
        cost,
        that_apply(_situation(ranking, fleet, offer, question)),
        (*modelled.notes, *question.notes),
        modelled.profiles,
    )


def _served(predicted: Predicted, offer: Offer) -> Offer:
    """What a closed loop comes to under that split."""
    if offer.rate_per_s > 0:
        return offer
    return Offer(predicted.tokens_per_s.value / (offer.isl + offer.osl), offer.isl, offer.osl)


def _now(modelled: Modelled, ranking: Ranking) -> Predicted | None:
    present = mixed(modelled.fleet) if modelled.now is None else split_of(modelled.fleet, modelled.now)
    return next((each for each in ranking.order if each.split.words == present.words), None)


def goal_of(ranking: Ranking, now: Predicted | None) -> Predicted:
    """Nobody should move twice for what one move gives as well."""
    if now is None:
        return ranking.best
    present = now.split
    level = [each for each in ranking.order if each is ranking.best or each.split.words in ranking.close]

    def moves(each: Predicted) -> float:
        if each is now:
            return 0.0
        if present.prefill is None or each.split.prefill is None:
            return math.inf
        return sum(abs(count - present.prefill[kind]) for kind, count in each.split.prefill.items())

    return min(level, key=moves)


def _situation(ranking: Ranking, fleet: Fleet, offer: Offer, question: Question) -> Situation:
    together: Sequence[Predicted] = [each for each in ranking.order if each.split.colocated]
    mixed_now = together[0] if together else None
    best = ranking.best
    users = question.workloads[0].concurrency or round(_served(best, offer).rate_per_s * best.e2el_median_s.value)
    writing_s = best.e2el_median_s.value - best.ttft_median_s.value
    return Situation(
        isl=offer.isl,
        osl=offer.osl,
        users=users,
        gpus_in_domain=max(
            (model.ranks for kind in fleet.kinds for models in kind.instances.values() for model in models),
            default=None,
        ),
        tokens_per_user_s=offer.osl / writing_s if writing_s > 0 else None,
        itl_p99_over_slo=mixed_now.itl_p99_s.value > question.slo.itl_s if mixed_now else None,
        ttft_over_slo=mixed_now.ttft_p99_s.value > question.slo.ttft_s if mixed_now else None,
    )
