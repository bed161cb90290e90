"""All splits of a fleet under one workload, the best first, and which of them the model cannot tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pdctl.advisor.predict import Predicted, predict
from pdctl.advisor.split import Fleet, splits
from pdctl.model.deployment import Slo
from pdctl.perf.profile import ModelError
from pdctl.perf.workload import Workload


class Objective(StrEnum):
    """What better means: requests per second within both targets, median E2EL, or tokens per second."""

    GOODPUT = "goodput"
    LATENCY = "latency"
    THROUGHPUT = "throughput"


@dataclass(frozen=True, slots=True)
class Ranking:
    """`order`: the best first. `close`: the words of those that cannot be told from the first; with any, it is too
    close to call."""

    order: tuple[Predicted, ...]
    close: tuple[str, ...]
    objective: Objective

    @property
    def best(self) -> Predicted:
        return self.order[0]


def rank(fleet: Fleet, workloads: Sequence[Workload], slo: Slo, error: ModelError, *, objective: Objective) -> Ranking:
    """Predict every split of `fleet`, colocated among them, under one offer drawn with several seeds."""
    found = [predict(split, workloads, slo, error) for split in splits(fleet)]
    return ranked(found, error, objective)


def ranked(found: Sequence[Predicted], error: ModelError, objective: Objective) -> Ranking:
    """By the objective; who attains as much as the best, as far as the model can tell, is ordered by E2EL."""
    if objective is Objective.GOODPUT:
        top = max(each.attainment.value for each in found)
        even = [each for each in found if top - each.attainment.value < error.attainment]
        rest = [each for each in found if top - each.attainment.value >= error.attainment]
        rest.sort(key=lambda each: -each.attainment.value)
        order = (*sorted(even, key=lambda each: each.e2el_median_s.value), *rest)
        contenders: Sequence[Predicted] = even
    else:
        order = tuple(sorted(found, key=lambda each: _cost(each, objective)))
        contenders = order
    best = order[0]
    limit = 1 + error.ratio
    close = [
        each.split.words
        for each in contenders
        if each is not best and _cost(each, objective) / _cost(best, objective) < limit
    ]
    return Ranking(tuple(order), tuple(close), objective)


def _cost(predicted: Predicted, objective: Objective) -> float:
    """Less is better."""
    if objective is Objective.THROUGHPUT:
        return 1 / max(predicted.tokens_per_s.value, 1e-9)
    return predicted.e2el_median_s.value
