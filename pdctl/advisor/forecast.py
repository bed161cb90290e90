"""What a plan of splits would earn: good requests over the next while, by the closed forms and a queue as a fluid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from pdctl.perf.closed_form import ClosedForm, Offer
from pdctl.perf.days.ratio import Ratio

KEPT: Final = 20_000
DOUBT: Final = (0.95, 1.05, 1.15)
"""The rate may be off by that, and so may the closed forms: shares are means over these, so that a pool near its limit
counts as partly beyond it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a split stands under an offer. Loads: 1.0 is all that a pool can carry. `prefill_met` and `decode_met` are
    long-run shares within TTFT and ITL; `drains_per_s` is what prefill can read at most, `slack_s` how long a request
    may queue."""

    prefill_load: float
    decode_load: float
    prefill_met: float
    decode_met: float
    drains_per_s: float
    slack_s: float

    @property
    def load(self) -> float:
        return max(self.prefill_load, self.decode_load)

    @property
    def met(self) -> float:
        return self.prefill_met * self.decode_met

    @property
    def score(self) -> float:
        """Attainment; and a little for less overload, so that of splits that all fail the nearest to holding wins."""
        return self.met + 0.1 / max(1.0, self.load)


@dataclass(frozen=True, slots=True)
class Stage:
    """`ratio` serves for `seconds`."""

    seconds: float
    ratio: Ratio


@dataclass(slots=True)
class Forecast:
    """Standings are kept: the same split under the same offer is asked for again and again."""

    closed: ClosedForm
    _known: dict[tuple[Offer, Ratio], Standing] = field(default_factory=dict)
    _scores: dict[tuple[Offer, tuple[Ratio, ...]], dict[Ratio, float]] = field(default_factory=dict)

    def scores(self, ratios: tuple[Ratio, ...], offer: Offer) -> dict[Ratio, float]:
        """Of each ratio its standing's score."""
        key = (offer, ratios)
        found = self._scores.get(key)
        if found is None:
            if len(self._scores) > KEPT:
                self._scores.clear()
            found = self._scores[key] = {ratio: self.standing(ratio, offer).score for ratio in ratios}
        return found

    def standing(self, ratio: Ratio, offer: Offer) -> Standing:
        key = (offer, ratio)
        found = self._known.get(key)
        if found is None:
            if len(self._known) > KEPT:
                self._known.clear()
            found = self._known[key] = self._standing(ratio, offer)
        return found

    def _standing(self, ratio: Ratio, offer: Offer) -> Standing:
        closed = self.closed
        slack_s = closed.slo.ttft_s - closed.unqueued_ttft_s(ratio.prefill, offer)
        doubted = [replace(offer, rate_per_s=offer.rate_per_s * times) for times in DOUBT]
        return Standing(
            closed.prefill_load(ratio.prefill, offer),
            closed.decode_load(ratio.decode, offer),
            sum(closed.prefill_met(ratio.prefill, one) for one in doubted) / len(DOUBT),
            sum(closed.decode_met(ratio.decode, one) for one in doubted) / len(DOUBT),
            ratio.prefill * closed.prefill_rate(offer.isl),
            slack_s,
        )

    def earned(self, stages: Iterable[Stage], offer: Offer, backlog: float) -> tuple[float, float]:
        """Good requests over the stages, and the backlog of prefill at their end."""
        met = 0.0
        for stage in stages:
            share, backlog = self.share(stage.seconds, self.standing(stage.ratio, offer), offer, backlog)
            met += share * stage.seconds * offer.rate_per_s
        return met, backlog

    def share(self, seconds: float, standing: Standing, offer: Offer, backlog: float) -> tuple[float, float]:
        """The share of what is offered meanwhile that is good, and the backlog at the end."""
        if seconds <= 0 or standing.drains_per_s <= 0:
            return 0.0, backlog + offer.rate_per_s * max(0.0, seconds)
        if standing.slack_s <= 0:
            return 0.0, max(0.0, backlog + (offer.rate_per_s - standing.drains_per_s) * seconds)
        waits_s = backlog / standing.drains_per_s
        grows = standing.prefill_load - 1.0
        if grows < 0:
            late_s = min(seconds, max(0.0, (waits_s - standing.slack_s) / -grows))
            in_time, base = 1.0 - late_s / seconds, standing.prefill_met
        else:
            good_s = max(0.0, standing.slack_s - waits_s) / grows if grows > 0 else seconds
            in_time, base = min(1.0, good_s / seconds), 1.0
        ends_s = max(0.0, waits_s + grows * seconds)
        return in_time * base * standing.decode_met, ends_s * standing.drains_per_s
