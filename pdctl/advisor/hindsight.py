"""Would moving have paid? The past's stretches of traffic, played by the closed forms: holding one split throughout
against following the traffic at the pace that moves really take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pdctl.advisor.demand import Stretch
from pdctl.advisor.forecast import Forecast
from pdctl.model.role import Role
from pdctl.perf.closed_form import Offer
from pdctl.perf.days.ratio import Ratio

STEP_S = 30.0
NOTICED_S = 75.0
"""From a change of the traffic until the demand window is cut: two or three ticks of 30 s."""
BLIP_S = 45.0
"""A stretch that short is the change itself, seen while it happens."""
SIGNIFICANT = 0.03
"""A split is worth wanting when its score is better by that."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a follower follows. `lead_s`: what a move takes, by donor. `patience`: it moves when it has wanted
    to for so many leads."""

    lead_s: Mapping[Role, float]
    patience: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Shares of the offered requests of the past that would have been good."""

    held: Mapping[Ratio, float]
    followed: Mapping[float, float]

    @property
    def best_held(self) -> Ratio:
        return max(self.held, key=lambda ratio: self.held[ratio])

    @property
    def best_patience(self) -> float:
        return max(self.followed, key=lambda patience: self.followed[patience])


def judge(
    past: Sequence[Stretch],
    ratios: tuple[Ratio, ...],
    forecast: Forecast,
    lead_s: Mapping[Role, float],
    patiences: Iterable[float],
) -> Verdict:
    """Play `past` both ways. The follower starts with the split that was best to hold."""
    offered = sum(one.offer.rate_per_s * (one.end_s - one.begin_s) for one in past) or 1.0
    held = {ratio: _held(past, ratio, forecast) / offered for ratio in ratios}
    start = max(held, key=lambda ratio: held[ratio])
    followed = {
        patience: _followed(past, start, ratios, forecast, Pace(lead_s, patience)) / offered for patience in patiences
    }
    return Verdict(held, followed)


def wanted(ratios: tuple[Ratio, ...], now: Ratio, offer: Offer, forecast: Forecast) -> tuple[Ratio, float]:
    """The split with the best score, and by how much it beats `now`; of those about as good the nearest to `now`."""
    scores = forecast.scores(ratios, offer)
    enough = max(scores.values()) - SIGNIFICANT / 3
    if scores[now] >= enough:
        return now, 0.0
    near = min(
        (ratio for ratio in ratios if scores[ratio] >= enough),
        key=lambda ratio: (abs(ratio.prefill - now.prefill), -scores[ratio]),
    )
    return near, scores[near] - scores[now]


@dataclass(frozen=True, slots=True)
class Regime:
    """A while through which one split was right. `ratio`: which."""

    begin_s: float
    end_s: float
    ratio: Ratio

    @property
    def length_s(self) -> float:
        return self.end_s - self.begin_s


def regimes(past: Sequence[Stretch], ratios: tuple[Ratio, ...], forecast: Forecast) -> list[Regime]:
    """Stretches of traffic put together for as long as the split that was right stays about as good as any."""
    found: list[Regime] = []
    for one in past:
        now = found[-1].ratio if found else ratios[len(ratios) // 2]
        target, gap = wanted(ratios, now, one.offer, forecast)
        if found and (gap <= SIGNIFICANT or one.end_s - one.begin_s < BLIP_S):
            found[-1] = replace(found[-1], end_s=one.end_s)
        else:
            found.append(Regime(one.begin_s, one.end_s, target if gap > SIGNIFICANT else now))
    return found


def donor_to(now: Ratio, target: Ratio) -> Role:
    return Role.DECODE if target.prefill > now.prefill else Role.PREFILL


def _held(past: Sequence[Stretch], ratio: Ratio, forecast: Forecast) -> float:
    met = backlog = 0.0
    for one in past:
        seconds = one.end_s - one.begin_s
        share, backlog = forecast.share(seconds, forecast.standing(ratio, one.offer), one.offer, backlog)
        met += share * seconds * one.offer.rate_per_s
    return met


def _steps(past: Sequence[Stretch]) -> Iterator[tuple[float, float, Offer, Offer]]:
    """(begin, seconds, what is offered, what it is taken for)."""
    taken = past[0].offer
    for one in past:
        at_s = one.begin_s
        while at_s < one.end_s:
            if at_s - one.begin_s >= NOTICED_S:
                taken = one.offer
            seconds = min(STEP_S, one.end_s - at_s)
            yield at_s, seconds, one.offer, taken
            at_s += seconds


def _followed(
    past: Sequence[Stretch], start: Ratio, ratios: tuple[Ratio, ...], forecast: Forecast, pace: Pace
) -> float:
    met = backlog = wanted_s = 0.0
    now, donor, until_s = start, None, 0.0
    for at_s, seconds, offer, taken in _steps(past):
        if donor is not None and at_s >= until_s:
            now, donor, wanted_s = now.moved(donor), None, 0.0
        if donor is None:
            target, gap = wanted(ratios, now, taken, forecast)
            if target != now and gap > SIGNIFICANT:
                wanted_s += seconds
                if wanted_s >= pace.patience * pace.lead_s[donor_to(now, target)]:
                    donor = donor_to(now, target)
                    until_s = at_s + pace.lead_s[donor]
            else:
                wanted_s = 0.0
        serving = now.without(donor) if donor is not None else now
        share, backlog = forecast.share(seconds, forecast.standing(serving, offer), offer, backlog)
        met += share * seconds * offer.rate_per_s
    return met
