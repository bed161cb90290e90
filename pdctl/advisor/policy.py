"""Automatic rebalancing: at every tick an observation in, a decision out. No clock, no I/O, no chance.

It moves one instance to the other role when another split would serve what is *offered* better, and only

- after the present split has cost as much as a share of what a move costs (patience: who waits until what waiting cost
  equals the price is never far from the best in hindsight, whatever the traffic does next);
- if what is gained until the traffic changes again outweighs what is lost while an instance drains and restarts, and
  while the fleet would have to come back;
- unless the past says that following this traffic loses against holding one split: then it goes to that split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pdctl.advisor.demand import Counted, Demand, Stretch
from pdctl.advisor.forecast import Forecast, Stage
from pdctl.advisor.hindsight import SIGNIFICANT, Verdict, donor_to, judge, wanted
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
    patience: float = 0.6
    patiences: tuple[float, ...] = (0.25, 0.6, 1.5)
    better: float = 0.01


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
    _lost_s: float = 0.0
    _wants: tuple[Role, int] | None = None
    _verdict: Verdict | None = None
    _judged: tuple[float, int] | None = None

    def __post_init__(self) -> None:
        self.forecast = Forecast(self.closed)

    def tick(self, seen: Observation) -> Decision:
        """Decide on one tick."""
        self._learn(seen)
        numbers: dict[str, float] = {}
        why_not = self._why_not(seen)
        offer = self.demand.offer
        if why_not or offer is None:
            self._forget_wants()
            return self._hold(seen, why_not or "no request has come and ended yet", numbers)
        return self._weigh(seen, offer, numbers)

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
            self.demand.add(seen.at_s, Counted(seen.over_s, seen.offered, tokens_in, seen.finished, tokens_out))
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

    def _weigh(self, seen: Observation, offer: Offer, numbers: dict[str, float]) -> Decision:
        now, settings = seen.ratio, self.settings
        allowed = ratios(now.total, prefill_floor=settings.prefill_floor, decode_floor=settings.decode_floor)
        standing = self.forecast.standing(now, offer)
        numbers |= {
            "rate_per_s": offer.rate_per_s,
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
        verdict = self._hindsight(allowed, now, offer)
        if verdict is not None:
            numbers |= {"held_best": max(verdict.held.values()), "followed_best": max(verdict.followed.values())}
            if max(verdict.followed.values()) < max(verdict.held.values()) + settings.better:
                return self._to_held(seen, verdict, offer, numbers)
        if target == now or gap <= SIGNIFICANT:
            self._forget_wants()
            return self._hold(seen, f"{now} serves what is offered as well as any split would", numbers)
        numbers["gap"] = gap
        return self._follow(seen, target, gap, offer, verdict, numbers)

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
        self._want(donor, gap, seen.over_s)
        assert self._wants is not None
        patience = verdict.best_patience if verdict is not None else self.settings.patience
        numbers |= {"lead_s": lead_s, "lost_s": self._lost_s, "patience_s": patience * lead_s}
        if self._wants[1] < self.settings.confirmations or self._lost_s < patience * lead_s:
            return self._hold(
                seen, f"{target} would serve better: waiting for more than a moment of it", numbers, target
            )
        lasts_s = self._lasts_s(offer)
        gain = self._gain(now, target, offer, lasts_s, seen.reading)
        back = self._back(now, target, lead_s)
        numbers |= {"lasts_s": lasts_s, "gain": gain, "return_cost": back}
        if gain - back <= self.settings.better * offer.rate_per_s * lasts_s:
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
        if best == seen.ratio or gap <= SIGNIFICANT:
            self._forget_wants()
            return self._hold(seen, f"following this traffic would have lost against holding {seen.ratio}", numbers)
        return self._move(
            seen, donor_to(seen.ratio, best), best, f"this traffic is best met by holding {best}", numbers
        )

    def _hindsight(self, allowed: tuple[Ratio, ...], now: Ratio, offer: Offer) -> Verdict | None:
        """The past's verdict; None while too little is past."""
        past = self._past(offer)
        if _turns(past, allowed, now, self.forecast) < 2:
            return None
        key = (self.demand.begin_s, len(past))
        if self._judged != key:
            leads = {donor: self.lead_s(donor, offer) for donor in (Role.PREFILL, Role.DECODE)}
            self._verdict = judge(past, allowed, self.forecast, leads, self.settings.patiences)
            self._judged = key
        return self._verdict

    def _past(self, offer: Offer) -> list[Stretch]:
        begin_s = self.demand.now_s - self.settings.memory_s
        past = [one for one in self.demand.past if one.end_s > begin_s]
        return [*past, Stretch(self.demand.begin_s, max(self.demand.now_s, self.demand.begin_s + 1.0), offer)]

    def _lasts_s(self, offer: Offer) -> float:
        """How long the present traffic will last yet."""
        lengths = [one.end_s - one.begin_s for one in self.demand.past[1:]]
        if len(lengths) < 2:
            return self.settings.horizon_s
        age_s = self.demand.age_s
        longer = [length for length in lengths if length > age_s]
        return max(sum(longer) / len(longer) - age_s, 30.0) if longer else age_s

    def _gain(self, now: Ratio, target: Ratio, offer: Offer, lasts_s: float, backlog: float) -> float:
        """Good requests that going to `target` earns over staying, while the present traffic lasts."""
        stages, left_s, at = [], lasts_s, now
        while at != target:
            donor = donor_to(at, target)
            takes_s = min(left_s, self.lead_s(donor, offer))
            stages.append(Stage(takes_s, at.without(donor)))
            left_s, at = left_s - takes_s, at.moved(donor)
        stages.append(Stage(left_s, target))
        queued = max(0.0, backlog - now.prefill * self.closed.instance.ranks)
        goes, _ = self.forecast.earned(stages, offer, queued)
        stays, _ = self.forecast.earned([Stage(lasts_s, now)], offer, queued)
        return goes - stays

    def _back(self, now: Ratio, target: Ratio, lead_s: float) -> float:
        """Good requests lost when the traffic before this one returns and finds `target`."""
        if not self.demand.past:
            return 0.0
        before = self.demand.past[-1].offer
        worse = self.forecast.standing(now, before).met - self.forecast.standing(target, before).met
        return max(0.0, worse) * before.rate_per_s * lead_s

    def _bottleneck(self, now: Ratio, offer: Offer) -> str:
        standing = self.forecast.standing(now, offer)
        role, load = ("prefill", standing.prefill_load)
        if standing.decode_met < standing.prefill_met or standing.decode_load > standing.prefill_load:
            role, load = "decode", standing.decode_load
        return f"{role} of {now} is at {load:.0%} of what it can carry"

    def _want(self, donor: Role, gap: float, over_s: float) -> None:
        if self._wants is None or self._wants[0] is not donor:
            self._wants, self._lost_s = (donor, 0), 0.0
        self._wants = (donor, self._wants[1] + 1)
        self._lost_s += gap * over_s

    def _forget_wants(self) -> None:
        self._wants, self._lost_s = None, 0.0

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


def _turns(past: list[Stretch], allowed: tuple[Ratio, ...], now: Ratio, forecast: Forecast) -> int:
    """How often the past wanted to go the other way than the last time it wanted to go anywhere."""
    turns, at, last = 0, now, None
    for one in past:
        target, gap = wanted(allowed, at, one.offer, forecast)
        if target == at or gap <= SIGNIFICANT:
            continue
        donor = donor_to(at, target)
        turns += last is not None and donor is not last
        at, last = target, donor
    return turns
