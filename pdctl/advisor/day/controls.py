"""Who may turn instances of a virtual fleet: the policy, one that moves at once, one that knows what comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from pdctl.advisor.forecast import Forecast
from pdctl.advisor.hindsight import donor_to
from pdctl.advisor.observation import Observation
from pdctl.advisor.policy import Decision, Rebalancer
from pdctl.model.role import Role
from pdctl.perf.closed_form import Offer
from pdctl.perf.days.ratio import Ratio, ratios
from pdctl.perf.days.seen import Seen


def observation(seen: Seen) -> Observation:
    """A virtual fleet's tick as the policy is shown it."""
    return Observation(
        at_s=seen.at_s,
        over_s=seen.over_s,
        ratio=seen.ratio,
        offered=seen.offered,
        isl=_mean(seen.offered_tokens, seen.offered),
        finished=seen.finished,
        osl=_mean(seen.finished_tokens, seen.finished),
        ttft_met=_mean(seen.in_ttft, seen.finished),
        itl_met=_mean(seen.in_itl, seen.finished),
        reading=seen.reading,
        writing=seen.writing,
        moving=seen.moving,
    )


@dataclass(slots=True)
class ByPolicy:
    """The rebalancing policy, with all it decided."""

    policy: Rebalancer
    decisions: list[Decision] = field(default_factory=list)

    def __call__(self, seen: Seen) -> Role | None:
        decision = self.policy.tick(observation(seen))
        self.decisions.append(decision)
        return decision.donor


@dataclass(slots=True)
class Greedy:
    """At every tick towards the split whose fullest pool is least full by the last `window_s` seconds: no hysteresis,
    no thought of what a move costs. It knows the same closed forms as the policy."""

    forecast: Forecast
    window_s: float = 120.0
    _seen: deque[Seen] = field(default_factory=deque)

    def __call__(self, seen: Seen) -> Role | None:
        self._seen.append(seen)
        while self._seen[0].at_s <= seen.at_s - self.window_s:
            self._seen.popleft()
        offered, finished = sum(one.offered for one in self._seen), sum(one.finished for one in self._seen)
        if seen.moving is not None or not offered or not finished:
            return None
        offer = Offer(
            offered / sum(one.over_s for one in self._seen),
            sum(one.offered_tokens for one in self._seen) / offered,
            sum(one.finished_tokens for one in self._seen) / finished,
        )
        best = min(ratios(seen.ratio.total), key=lambda ratio: self.forecast.standing(ratio, offer).load)
        return None if best == seen.ratio else donor_to(seen.ratio, best)


@dataclass(slots=True)
class Foreseen:
    """Goes by a schedule that is known ahead: (until, split)."""

    schedule: Sequence[tuple[float, Ratio]]

    def __call__(self, seen: Seen) -> Role | None:
        wanted = next((ratio for until_s, ratio in self.schedule if seen.at_s < until_s), self.schedule[-1][1])
        if seen.moving is not None or wanted == seen.ratio:
            return None
        return donor_to(seen.ratio, wanted)


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None
