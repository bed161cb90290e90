"""Automatic rebalancing: at every tick an observation in, a decision out. No clock, no I/O, no chance.

It moves one instance to the other role when another split would serve what is *offered* better, and only

- after another split was wanted for a share of what a move takes (patience: who waits until what waiting cost equals
  the price is never far from the best in hindsight, whatever the traffic does next);
- if what is gained until the traffic changes again outweighs what is lost while an instance drains and restarts, and
  while the fleet would have to come back;
- unless the past says that following this traffic loses against holding one split: then it goes to that split.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pdctl.advisor.demand import Counted, Demand, Stretch
from pdctl.advisor.forecast import Forecast, Stage
from pdctl.advisor.hindsight import NOTICED_S, SIGNIFICANT, Verdict, donor_to, judge, regimes, wanted
from pdctl.advisor.observation import Observation
from pdctl.model.role import Role
from pdctl.perf.closed_form import ClosedForm, Offer
from pdctl.perf.days.ratio import Ratio, ratios


@dataclass(frozen=True, slots=True)
class Settings:
    """Floors count instances. `restart_s`: from the end of a drain to the first request in the new role, until moves of
    this run have shown how long they take. `horizon_s`: how long traffic is taken to last while too little is known of
    its changes; `memory_s`: how far back hindsight looks."""

    prefill_floor: int = 1
    decode_floor: int = 1
    restart_s: float = 300.0
    horizon_s: float = 2700.0
    memory_s: float = 4 * 3600.0
    confirmations: int = 2
    patience: float = 0.25
    patiences: tuple[float, ...] = (0.1, 0.25)
    better: float = 0.01
    clear_s: float = 300.0
    watch_leads: float = 4.0
    ripe: float = 0.85
    proven_s: float = 1200.0
    calm_load: float = 0.9
    known_regimes: int = 3
    recent_s: float = 300.0
    cheap_s: float = 60.0
    relief: float = 0.08


class Action(StrEnum):
    HOLD = "hold"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Decision:
    """`donor` gives an instance up (None: hold). `reason` is a sentence; `numbers` are what it was decided on."""

    at_s: float
    action: Action
    ratio: Ratio
    target: Ratio | None
    donor: Role | None
    reason: str
    numbers: Mapping[str, float]


@dataclass(slots=True)
class Rebalancer:
    """The policy with what it remembers. One `tick` per observation, in the order of time."""

    closed: ClosedForm
    settings: Settings = Settings()
    demand: Demand = field(default_factory=Demand)
    forecast: Forecast = field(init=False)
    _leads: dict[Role, list[float]] = field(default_factory=dict)
    _moving: tuple[Role, float] | None = None
    _wanted_s: float = 0.0
    _watched_s: float = 0.0
    _measured: deque[tuple[float, int, float]] = field(default_factory=deque)
    _writing: deque[float] = field(default_factory=lambda: deque(maxlen=4))
    _wants: tuple[Role, int] | None = None
    _verdict: Verdict | None = None
    _judged: tuple[float, int, Offer] | None = None

    def __post_init__(self) -> None:
        self.forecast = Forecast(self.closed)

    def tick(self, seen: Observation) -> Decision:
        """Decide on one tick."""
        self._learn(seen)
        numbers: dict[str, float] = {}
        why_not = self._why_not(seen)
        offer = _rounded_offer(self.demand.offer)
        if why_not or offer is None:
            self._forget_wants()
            return self._hold(seen, why_not or "no request has come and ended yet", numbers)
        return self._weigh(seen, offer, self._with_queue(seen, offer), numbers)

    def _ripe(self, now: Ratio, offer: Offer) -> bool:
        """Whether decode, if it is what fails, is about as full as it will be: long answers take minutes to pile up,
        and the traffic may have changed by then."""
        standing = self.forecast.standing(now, offer)
        if standing.prefill_met < standing.decode_met:
            return True
        holds = now.decode * self.closed.decode.ranks * self.closed.decode_batch(offer.isl, offer.osl)
        fill = sum(self._writing) / len(self._writing) / holds if holds else math.inf
        return fill >= self.settings.ripe * min(1.0, self.closed.decode_fill(now.decode, offer))

    def _fine(self, now_s: float) -> bool:
        """Whether nearly everybody who ended in the last minutes was served well."""
        recent = [one for one in self._measured if one[0] > now_s - self.settings.recent_s]
        finished = sum(one[1] for one in recent)
        return finished >= 30 and sum(one[2] for one in recent) >= 0.985 * finished

    def _proven(self) -> float | None:
        """The share of good requests that was measured on the present split; None while it is new."""
        if not self._measured or self._measured[-1][0] - self._measured[0][0] < self.settings.proven_s:
            return None
        return sum(one[2] for one in self._measured) / sum(one[1] for one in self._measured)

    def _with_queue(self, seen: Observation, offer: Offer) -> Offer:
        """What is offered, and what waits already as if it were to be gone within `clear_s`; a long queue counts for no
        more than a seventh, since no split would seem enough for it."""
        rate = offer.rate_per_s + min(self._queued(seen) / self.settings.clear_s, 0.15 * offer.rate_per_s)
        return replace(offer, rate_per_s=_rounded(rate))

    def _queued(self, seen: Observation) -> float:
        """Requests that wait: beyond two steps' worth of what prefill has in hand."""
        return max(0.0, seen.reading - 2.0 * seen.ratio.prefill * self.closed.prefill.ranks)

    def lead_s(self, donor: Role, offer: Offer) -> float:
        """What a move from `donor` takes: as the last ones did, else drain and restart by the closed form."""
        known = self._leads.get(donor)
        if known:
            return sum(known[-3:]) / len(known[-3:])
        return self.settings.restart_s + self._drain_s(donor, offer)

    def _drain_s(self, donor: Role, offer: Offer) -> float:
        if donor is Role.DECODE:
            return offer.osl * self.closed.slo.itl_s * 0.8
        return self.closed.prefill_step_s(1, offer) * 2

    def _learn(self, seen: Observation) -> None:
        tokens_in = seen.offered * (seen.isl or 0.0)
        tokens_out = seen.finished * (seen.osl or 0.0)
        if not seen.stale:
            self._watched_s += seen.over_s
            self.demand.add(seen.at_s, Counted(seen.over_s, seen.offered, tokens_in, seen.finished, tokens_out))
        self._writing.append(seen.writing)
        if seen.moving is not None:
            self._measured.clear()
        elif seen.finished and seen.ttft_met is not None and seen.itl_met is not None:
            self._measured.append((seen.at_s, seen.finished, seen.finished * seen.ttft_met * seen.itl_met))
            while self._measured[0][0] < seen.at_s - 2 * self.settings.proven_s:
                self._measured.popleft()
        if seen.moving is not None and self._moving is None:
            self._moving = (seen.moving, seen.at_s - seen.over_s)
        elif seen.moving is None and self._moving is not None:
            donor, began_s = self._moving
            self._leads.setdefault(donor, []).append(seen.at_s - began_s)
            self._moving = None

    def _why_not(self, seen: Observation) -> str:
        if seen.stale:
            return f"figures are too old: {', '.join(seen.stale)}"
        if seen.held:
            return seen.held
        if seen.moving is not None:
            return f"a {seen.moving.value} instance is on its way to the other role"
        return ""

    def _weigh(self, seen: Observation, offered: Offer, offer: Offer, numbers: dict[str, float]) -> Decision:
        now = seen.ratio
        allowed = self._allowed(now)
        standing = self.forecast.standing(now, offer)
        numbers |= {
            "rate_per_s": offered.rate_per_s,
            "with_queue_per_s": offer.rate_per_s,
            "isl": offer.isl,
            "osl": offer.osl,
            "prefill_load": standing.prefill_load,
            "decode_load": standing.decode_load,
            "predicted_met": standing.met,
            "reading": seen.reading,
            "writing": seen.writing,
            "alike_s": self.demand.age_s,
        }
        if now not in allowed:
            return self._hold(seen, f"{now} is below a floor", numbers)
        target, gap = wanted(allowed, now, offer, self.forecast)
        if self._cheap(now, allowed, offer):
            return self._balance(seen, allowed, offer, numbers)
        verdict = self._hindsight(allowed, offered)
        if verdict is not None:
            numbers |= {"held_best": max(verdict.held.values()), "followed_best": max(verdict.followed.values())}
            loses = max(verdict.followed.values()) < max(verdict.held.values()) - SIGNIFICANT
            if loses and self._proven() is not None:
                return self._to_held(seen, verdict, offer, numbers)
        if target == now or gap <= SIGNIFICANT:
            self._forget_wants()
            return self._hold(seen, f"{now} serves what is offered as well as any split would", numbers)
        numbers["gap"] = gap
        if standing.load < self.settings.calm_load and self._fine(seen.at_s):
            self._forget_wants()
            return self._hold(seen, f"{now} is predicted to fail some requests, but none do", numbers)
        if not self._ripe(now, offer):
            return self._hold(seen, f"{target} would serve better in the end, but decode has room yet", numbers, target)
        return self._follow(seen, target, gap, offer, verdict, numbers)

    def _allowed(self, now: Ratio) -> tuple[Ratio, ...]:
        floors = self.settings
        return ratios(now.total, prefill_floor=floors.prefill_floor, decode_floor=floors.decode_floor)

    def _cheap(self, now: Ratio, allowed: tuple[Ratio, ...], offer: Offer) -> bool:
        """Whether a move takes no longer than it takes to be sure that one is wanted."""
        return max(self.lead_s(donor, offer) for donor in (Role.PREFILL, Role.DECODE)) <= self.settings.cheap_s

    def _balance(
        self, seen: Observation, allowed: tuple[Ratio, ...], offer: Offer, numbers: dict[str, float]
    ) -> Decision:
        """Moves cost next to nothing: towards the split whose fuller pool is least full, before anything fails."""
        loads = {ratio: self.forecast.standing(ratio, offer).load for ratio in allowed}
        best = min(allowed, key=lambda ratio: loads[ratio])
        numbers |= {"load": loads[seen.ratio], "best_load": loads[best]}
        if loads[seen.ratio] - loads[best] < self.settings.relief:
            self._forget_wants()
            return self._hold(seen, f"{seen.ratio} is as evenly loaded as any split would be", numbers)
        donor = donor_to(seen.ratio, best)
        self._want(donor, seen.over_s)
        if self._wants is None or self._wants[1] < self.settings.confirmations:
            return self._hold(seen, f"{best} would be more evenly loaded: waiting to be sure", numbers, best)
        return self._move(seen, donor, best, f"{self._bottleneck(seen.ratio, offer)}; {best} evens that out", numbers)

    def _follow(
        self,
        seen: Observation,
        target: Ratio,
        gap: float,
        offer: Offer,
        verdict: Verdict | None,
        numbers: dict[str, float],
    ) -> Decision:
        now, donor = seen.ratio, donor_to(seen.ratio, target)
        lead_s = self.lead_s(donor, offer)
        self._want(donor, seen.over_s)
        assert self._wants is not None
        patience = verdict.best_patience if verdict is not None else self.settings.patience
        numbers |= {"lead_s": lead_s, "wanted_s": self._wanted_s, "patience_s": patience * lead_s}
        if self._wants[1] < self.settings.confirmations or self._wanted_s < patience * lead_s:
            return self._hold(
                seen, f"{target} would serve better: waiting for more than a moment of it", numbers, target
            )
        if self._watched_s < self.settings.watch_leads * lead_s:
            return self._hold(
                seen, f"{target} would serve better: the traffic is not known for long enough", numbers, target
            )
        lasts_s = self._lasts_s(self._allowed(now), offer)
        gain = self._gain(now, target, self.demand.offer or offer, lasts_s, self._queued(seen))
        back = self._back(now, target, gap, offer, lead_s)
        numbers |= {"lasts_s": lasts_s, "gain": gain, "return_cost": back}
        if gain - back <= self.settings.better * offer.rate_per_s * lasts_s:
            if verdict is not None and verdict.held[verdict.best_held] - verdict.held[now] > 2 * SIGNIFICANT:
                return self._to_held(seen, verdict, offer, numbers)
            words = f"{target} would serve better, but gains {gain:.0f} requests and coming back costs {back:.0f}"
            return self._hold(seen, words, numbers, target)
        return self._move(
            seen, donor, target, f"{self._bottleneck(now, offer)}; {target} gains {gain:.0f} good requests", numbers
        )

    def _to_held(self, seen: Observation, verdict: Verdict, offer: Offer, numbers: dict[str, float]) -> Decision:
        """Following does not pay: the split that would have been best to hold."""
        best = verdict.best_held
        gap = verdict.held[best] - verdict.held[seen.ratio]
        numbers["held_gap"] = gap
        proven = self._proven()
        if proven is not None:
            numbers["measured"] = proven
        pays = gap > SIGNIFICANT and proven is not None and proven < verdict.held[best] - SIGNIFICANT
        target, _ = wanted(self._allowed(seen.ratio), seen.ratio, offer, self.forecast)
        against = target != seen.ratio and donor_to(seen.ratio, target) is not donor_to(seen.ratio, best)
        if not pays or against:
            self._forget_wants()
            return self._hold(seen, f"following this traffic would have lost against holding {seen.ratio}", numbers)
        return self._move(
            seen, donor_to(seen.ratio, best), best, f"this traffic is best met by holding {best}", numbers
        )

    def _hindsight(self, allowed: tuple[Ratio, ...], offer: Offer) -> Verdict | None:
        """What following this traffic would have come to, until it changes again; None while too little is past."""
        past = self._past(offer)
        if len(regimes(past, allowed, self.forecast)) < 3:
            return None
        key = (self.demand.begin_s, len(past), offer)
        if self._judged != key:
            past[-1] = replace(past[-1], end_s=past[-1].end_s + self._lasts_s(allowed, offer))
            leads = {donor: self.lead_s(donor, offer) for donor in (Role.PREFILL, Role.DECODE)}
            self._verdict = judge(past, allowed, self.forecast, leads, self.settings.patiences)
            self._judged = key
        return self._verdict

    def _past(self, offer: Offer) -> list[Stretch]:
        begin_s = self.demand.now_s - self.settings.memory_s
        past = [one for one in self.demand.past if one.end_s > begin_s]
        return [*past, Stretch(self.demand.begin_s, max(self.demand.now_s, self.demand.begin_s + 1.0), offer)]

    def _lasts_s(self, allowed: tuple[Ratio, ...], offer: Offer) -> float:
        """How long the present regime will last yet: as those before it did, of the same split if there were any; one
        that outlives them all, or that is the first, half as long again as it has lasted."""
        *before, now = regimes(self._past(offer), allowed, self.forecast)
        age_s = max(now.length_s, 30.0)
        alike = [one.length_s for one in before if one.ratio == now.ratio] or [one.length_s for one in before]
        longer = [length_s for length_s in alike if length_s > age_s]
        lasts_s = sum(longer) / len(longer) - age_s if longer else age_s / 2
        return min(lasts_s, self.settings.horizon_s)

    def _gain(self, now: Ratio, target: Ratio, offer: Offer, lasts_s: float, backlog: float) -> float:
        """Good requests that going to `target` earns over staying, while the present traffic lasts."""
        stages, left_s, at = [], lasts_s, now
        while at != target:
            donor = donor_to(at, target)
            takes_s = min(left_s, self.lead_s(donor, offer))
            stages.append(Stage(takes_s, at.without(donor)))
            left_s, at = left_s - takes_s, at.moved(donor)
        stages.append(Stage(left_s, target))
        goes, _ = self.forecast.earned(stages, offer, backlog)
        stays, _ = self.forecast.earned([Stage(lasts_s, now)], offer, backlog)
        return goes - stays

    def _back(self, now: Ratio, target: Ratio, gap: float, offer: Offer, lead_s: float) -> float:
        """Good requests that are lost when this traffic ends and finds `target`, until that is noticed and the fleet
        has come back. What comes next may suit the present split as much better as the present traffic suits the other
        one; when more is past, only as much as that did, and a third at least."""
        alike = gap * offer.rate_per_s
        past = self._past(offer)
        if len(regimes(past, self._allowed(now), self.forecast)) > self.settings.known_regimes:
            spans = [one.end_s - one.begin_s for one in past]
            worse = sum(
                span_s * one.offer.rate_per_s * max(0.0, self._met(now, one.offer) - self._met(target, one.offer))
                for span_s, one in zip(spans, past, strict=True)
            )
            alike = min(alike, max(alike / 3, worse / sum(spans)))
        return alike * (lead_s + NOTICED_S)

    def _met(self, ratio: Ratio, offer: Offer) -> float:
        return self.forecast.standing(ratio, offer).met

    def _bottleneck(self, now: Ratio, offer: Offer) -> str:
        standing = self.forecast.standing(now, offer)
        role, load = ("prefill", standing.prefill_load)
        if standing.decode_met < standing.prefill_met or standing.decode_load > standing.prefill_load:
            role, load = "decode", standing.decode_load
        return f"{role} of {now} is at {load:.0%} of what it can carry"

    def _want(self, donor: Role, over_s: float) -> None:
        if self._wants is None or self._wants[0] is not donor:
            self._wants, self._wanted_s = (donor, 0), 0.0
        self._wants = (donor, self._wants[1] + 1)
        self._wanted_s += over_s

    def _forget_wants(self) -> None:
        self._wants, self._wanted_s = None, 0.0

    def _hold(
        self, seen: Observation, reason: str, numbers: Mapping[str, float], target: Ratio | None = None
    ) -> Decision:
        return Decision(seen.at_s, Action.HOLD, seen.ratio, target, None, reason, numbers)

    def _move(
        self, seen: Observation, donor: Role, target: Ratio, reason: str, numbers: Mapping[str, float]
    ) -> Decision:
        left = (seen.ratio.prefill if donor is Role.PREFILL else seen.ratio.decode) - seen.fixed(donor)
        if left < 1:
            return self._hold(seen, f"{reason}, but every {donor.value} instance is pinned or held", numbers, target)
        return Decision(seen.at_s, Action.MOVE, seen.ratio, target, donor, reason, numbers)


def _rounded_offer(offer: Offer | None) -> Offer | None:
    if offer is None:
        return None
    return Offer(_rounded(offer.rate_per_s), _rounded(offer.isl), _rounded(offer.osl))


def _rounded(value: float) -> float:
    """To a hundredth of itself or so, that what is known of an offer is found again."""
    return float(f"{value:.2g}") if value < 1e-9 else math.exp(round(math.log(value) * 64) / 64)
