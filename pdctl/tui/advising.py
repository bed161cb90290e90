"""An advice as a screen shows it: what is asked for, and the answer in cells and words. No textual here: it is worked
out in a process of its own (`advice_apart`), since it is up to half a second of Python that no key should wait for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pdctl.advisor.advise import Answer, Question, advise, steady
from pdctl.advisor.first_step import Step, first_step
from pdctl.advisor.fleet_of import fleet_of
from pdctl.advisor.rank import Objective
from pdctl.model.deployment import Deployment, Slo
from pdctl.model.role import EngineKind
from pdctl.perf.arrivals import closed_loop
from pdctl.perf.profile import Profile
from pdctl.perf.workload import Workload
from pdctl.text.advice import going_lines, predicted_with, row_cells

SEEDS: Final = 2
RESTART_S: Final = 300.0
SIMULATED_RESTART_S: Final = 10.0
"""From an engine's stop to its first request: weights are loaded, or nothing is."""


@dataclass(frozen=True, slots=True)
class Query:
    """One workload on one fleet: requests a second, or so many `users` at once, of mean lengths in tokens.

    `source`: where it is from, in words. `notes`: what is estimated in it.
    """

    deployment: Deployment
    isl: float
    osl: float
    rate_per_s: float | None
    users: int | None
    slo: Slo
    objective: Objective
    source: str
    notes: tuple[str, ...] = ()

    @property
    def workloads(self) -> tuple[Workload, ...]:
        if self.rate_per_s is not None:
            return steady(self.rate_per_s, self.isl, self.osl, seeds=SEEDS)
        users = self.users or 1
        return (closed_loop(2 * users, users, round(self.isl), round(self.osl)),)

    @property
    def restart_s(self) -> float:
        return SIMULATED_RESTART_S if self.deployment.engine.kind is EngineKind.SIMULATED else RESTART_S


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One split: its figures, under `text.advice.HEADS`, and why it is where it is. `level`: cannot be told from the
    best one."""

    cells: tuple[str, ...]
    why: str
    best: bool
    level: bool
    now: bool

    @property
    def words(self) -> str:
        return self.cells[0]


@dataclass(frozen=True, slots=True)
class PriorLine:
    """A rule of thumb that would apply, and the measurement that speaks against it."""

    says: str
    disagrees: str


@dataclass(frozen=True, slots=True)
class Advice:
    """The answer to a query. `going`: whether to stay, or what it costs to go.

    `step`: the first move to the best split; None where there is none to make, and `no_step` says why.
    """

    source: str
    slo: Slo
    objective: Objective
    verdict: str
    too_close: bool
    rows: tuple[SplitRow, ...]
    going: tuple[str, ...]
    step: Step | None
    no_step: str
    rests_on: str
    notes: tuple[str, ...]
    priors: tuple[PriorLine, ...]


class Adviser(Protocol):
    """Works an advice out, beside the screen."""

    async def advise(self, query: Query) -> Advice:
        """Raises TooThin where too little is known for one."""
        ...


def advice(query: Query, profiles: Sequence[Profile]) -> Advice:
    """Raises TooThin, with what is missing."""
    modelled = fleet_of(query.deployment, profiles)
    question = Question(
        query.workloads, query.slo, query.objective, query.source, restart_s=query.restart_s, notes=query.notes
    )
    answer = advise(modelled, question)
    step, no_step = _step(answer)
    ranking, why = answer.ranking, dict(answer.lines)
    level = {ranking.best.split.words, *ranking.close} if ranking.close else set()
    return Advice(
        source=query.source,
        slo=query.slo,
        objective=query.objective,
        verdict=answer.verdict,
        too_close=bool(ranking.close),
        rows=tuple(
            SplitRow(
                row_cells(each),
                why.get(each.split.words, ""),
                each is ranking.best,
                each.split.words in level,
                each is answer.now,
            )
            for each in ranking.order
        ),
        going=going_lines(answer),
        step=step,
        no_step=no_step,
        rests_on=predicted_with(answer),
        notes=answer.notes,
        priors=tuple(
            PriorLine(f"{each.leaning}: {each.says} [{each.source}]", each.disagrees) for each in answer.priors
        ),
    )


def _step(answer: Answer) -> tuple[Step | None, str]:
    best, now, goal = answer.ranking.best, answer.now, answer.goal
    if now is None:
        return None, "the present split is none of those that were ranked"
    if now is best:
        return None, f"{now.split.words} is what you have: there is nothing to move"
    if now.split.words in answer.ranking.close:
        return None, f"{now.split.words} cannot be told from the best: there is nothing to gain that is sure"
    step = first_step(now.split, goal.split)
    if step is None:
        return None, answer.cost.refused if answer.cost is not None else "no move of single slots leads there"
    return step, ""
