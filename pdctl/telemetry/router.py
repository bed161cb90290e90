"""The router's figures, from its own metrics and from what is known of its unit and of the members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pdctl.model.figure import Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import WINDOWS_S, RouterFigures, Vital
from pdctl.telemetry.instance import STALE_TICKS
from pdctl.telemetry.meter import Meter, Tally

MEMBERS_OLD_S: Final = 15.0
"""Who is registered is asked every two seconds; what is older than this is not said of now."""


@dataclass(slots=True)
class RouterSight:
    """What is known besides metrics. `members`: by instance name, whether it is registered; `members_s`: when that was
    learnt, on the builder's clock; `heard_s`: when metrics last came; `lost`: why none came since."""

    vital: Vital = Vital.UNKNOWN
    why: str = ""
    members: Mapping[str, bool] = field(default_factory=dict)
    members_s: float | None = None
    heard_s: float | None = None
    lost: str = ""

    def member(self, name: str, now_s: float) -> bool | None:
        """Whether the router may pick it; None where what the registrar said is too old to be true now."""
        if self.members_s is None or now_s - self.members_s > MEMBERS_OLD_S:
            return None
        return self.members.get(name, False)


def router_figures(sight: RouterSight, meter: Meter, now_s: float, interval_s: float) -> RouterFigures:
    """The router now. It prints no metrics before its first request: then there is nothing in hand, and no rate."""
    age_s = None if sight.heard_s is None else now_s - sight.heard_s
    stale = age_s is None or age_s > STALE_TICKS * interval_s
    tally = None if stale else meter.tally(float(WINDOWS_S[0]))
    said = f": {sight.lost}" if sight.lost else ""
    silent = Unknown(f"the router shows no metrics{said}" if age_s is None else f"no answer for {age_s:.0f} s{said}")
    gone = sight.vital is Vital.UP and stale and age_s is not None
    requests: Fig = silent if stale else Unknown("the router has counted no requests yet")
    errors: dict[str, Fig] = {}
    if tally is not None and age_s is not None:
        rate = _offered(tally, meter)
        requests = requests if rate is None else Figure.exact(rate, age_s)
        errors = {kind: Figure.exact(rate, age_s) for kind, rate in tally.rates("errors").items()}
    return RouterFigures(
        vital=Vital.STALE if gone else sight.vital,
        why=silent.reason if gone else sight.why,
        requests=requests,
        errors=errors,
        pending=silent if stale else _sum(meter, "pending", age_s or 0.0),
        active=silent if stale else _sum(meter, "active", age_s or 0.0),
        members=sight.members,
        membership_age_s=None if sight.members_s is None else now_s - sight.members_s,
    )


def _offered(tally: Tally, meter: Meter) -> float | None:
    """Requests per second that came, those included whose prefill waits; None before the first.

    Of vllm-router 0.1.17 `pd_requests_total` counts a request when its prefill leg has ended, which under a queue is
    what prefill carries and not what is offered (measured). Workers are picked when it comes: a pair of them in P/D.
    """
    if ("picked", "") in tally.counters and (picked := tally.rate("picked")) is not None:
        disaggregated = any(family in ("pending", "active") for family, _ in meter.gauges)
        return picked / 2 if disaggregated else picked
    return tally.rate("requests") if ("requests", "") in tally.counters else None


def _sum(meter: Meter, key: str, age_s: float) -> Fig:
    values = [value for (family, _), value in meter.gauges.items() if family == key]
    return Figure.exact(sum(values), age_s) if values else Figure.exact(0.0, age_s, note="none was ever counted")
