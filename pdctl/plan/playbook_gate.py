"""What a gate of a playbook sees in a Snapshot: each condition met, not met or unknown, with what was seen. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Final

from pdctl.inventory.playbook_schema import CompareSection, GateVerb
from pdctl.model.figure import Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.model.snapshot import AlertLevel, InstanceFigures, Snapshot, Vital

ALERTS_NEED_S: Final = 15.0
"""Before it was looked at for this long nobody can say that no alert stands: most wait 10 s before they speak."""
FIGURES: Final = ("ttft_mean", "ttft_p99", "itl_mean", "itl_p99")


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition and what was seen. `met` None: it is unknown, which never passes."""

    wanted: str
    met: bool | None
    saw: str


@dataclass(slots=True)
class Settling:
    """For how long everything has held without a break."""

    settle_s: float
    since_s: float | None = None

    def take(self, conditions: tuple[Condition, ...], now_s: float) -> bool:
        """Whether it has held for long enough, at `now_s`."""
        if not all(each.met is True for each in conditions):
            self.since_s = None
            return False
        if self.since_s is None:
            self.since_s = now_s
        return now_s - self.since_s >= self.settle_s


@dataclass(slots=True)
class Trail:
    """Figures of instances over the last `span_s`: one tick's P99 of few requests is mostly chance.

    What is unknown now is unknown, whatever it was before.
    """

    span_s: float
    _seen: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)

    def take(self, snapshot: Snapshot) -> None:
        """Remember this tick's figures."""
        for instance in snapshot.instances.values():
            for name in FIGURES:
                found, key = _figure(instance, name), (instance.name, name)
                if isinstance(found, Figure):
                    since_s = snapshot.taken_s - self.span_s
                    kept = [each for each in self._seen.get(key, []) if each[0] >= since_s]
                    self._seen[key] = [*kept, (snapshot.taken_s, found.middle)]
                else:
                    self._seen.pop(key, None)

    def mean(self, instance: InstanceFigures, name: str) -> float | Unknown:
        """The mean over the span, in seconds; of the snapshot alone where nothing was remembered."""
        found = _figure(instance, name)
        if isinstance(found, Unknown):
            return found
        return fmean(value for _, value in self._seen.get((instance.name, name), [(0.0, found.middle)]))


def look(
    gate: GateVerb,
    snapshot: Snapshot,
    *,
    watched_s: float,
    members: frozenset[str] = frozenset(),
    compared: frozenset[str] = frozenset(),
    trail: Trail | None = None,
) -> tuple[Condition, ...]:
    """Every condition of the gate in this snapshot. `members`: the instances that have to be; `compared`: those that
    `compare` selects; `watched_s`: for how long there have been snapshots; `trail`: the figures that came before."""
    trail = trail or Trail(0.0)
    found: list[Condition] = []
    if gate.members is not None:
        found.append(_members(snapshot, members))
    if gate.alerts is not None:
        found.append(_alerts(snapshot, watched_s))
    if gate.attainment is not None:
        found.append(_attainment(snapshot, gate.window, gate.attainment))
    if gate.compare is not None:
        found += _compared(snapshot, gate.compare, compared, trail)
    return tuple(found)


def _members(snapshot: Snapshot, names: frozenset[str]) -> Condition:
    wanted = f"{len(names)} members"
    missing: dict[str, list[str]] = {}
    doubtful: dict[str, list[str]] = {}
    for name in sorted(names):
        instance = snapshot.instances.get(name)
        if instance is None or instance.member is None or instance.vital in (Vital.UNKNOWN, Vital.STALE):
            doubtful.setdefault(instance.why if instance and instance.why else "unknown", []).append(name)
        elif not (instance.member and instance.vital is Vital.UP):
            what = instance.vital.value if instance.vital is not Vital.UP else "no member"
            missing.setdefault(what, []).append(name)
    saw = "; ".join(f"{why}: {_some(those)}" for why, those in (missing | doubtful).items())
    return Condition(wanted, False if missing else None if doubtful or not names else True, saw or f"all {len(names)}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _alerts(snapshot: Snapshot, watched_s: float) -> Condition:
    standing = [alert for alert in snapshot.alerts if alert.level is not AlertLevel.INFO]
    if standing:
        return Condition("no alert", False, "; ".join(f"{each.subject}: {each.cause}" for each in standing[:3]))
    if watched_s < ALERTS_NEED_S:
        return Condition("no alert", None, f"watched for {watched_s:.0f} s of {ALERTS_NEED_S:.0f} s")
    return Condition("no alert", True, "none")


def _attainment(snapshot: Snapshot, window_s: int, target: float) -> Condition:
    wanted = f"attainment >= {target:g}"
    view = snapshot.client.get(window_s)
    figure: Fig = view.attainment.both if view is not None else Unknown("no figures of that window")
    if isinstance(figure, Unknown):
        return Condition(wanted, None, f"unknown: {figure.reason}")
    return Condition(wanted, figure.low >= target, _span(figure.low, figure.high, ""))


def _compared(snapshot: Snapshot, compare: CompareSection, names: frozenset[str], trail: Trail) -> Iterator[Condition]:
    for name in sorted(names):
        instance = snapshot.instances.get(name)
        for figure in FIGURES:
            share = getattr(compare, figure)
            if share is None:
                continue
            if instance is None:
                yield Condition(f"{name} {figure}", None, "unknown: the instance is not seen")
            elif not (figure.startswith("itl") and instance.role is Role.PREFILL):
                yield _against_peers(snapshot, instance, names, figure, share, trail)


def _against_peers(
    snapshot: Snapshot, instance: InstanceFigures, names: frozenset[str], figure: str, share: float, trail: Trail
) -> Condition:
    """A figure against the median of the peers' ones. Histograms tell which bucket a quantile lies in, so those in
    one bucket count as equal."""
    wanted = f"{instance.name} {figure.replace('_', ' ')} within +{share:.0%} of its peers"
    peers = [each for each in snapshot.instances.values() if each.pool == instance.pool and each.name not in names]
    known = [each for each in (trail.mean(peer, figure) for peer in peers) if not isinstance(each, Unknown)]
    own = trail.mean(instance, figure)
    if isinstance(own, Unknown):
        return Condition(wanted, None, f"unknown: {own.reason}")
    if not known:
        return Condition(wanted, None, "unknown: no peer has that figure")
    middle = median(known)
    saw = f"{own * 1e3:.1f} ms against {middle * 1e3:.1f} ms of {len(known)} peers"
    return Condition(wanted, own <= middle * (1 + share), saw)


def _figure(instance: InstanceFigures, figure: str) -> Fig:
    family, _, statistic = figure.partition("_")
    if not instance.windows:
        return Unknown("no figures yet")
    latencies = instance.windows[min(instance.windows)].latencies
    found = getattr(getattr(latencies, family), statistic)
    assert isinstance(found, Figure | Unknown)
    return found


def _span(low: float, high: float, unit: str) -> str:
    return f"{low:.3g}{unit}" if low == high else f"{low:.3g} to {high:.3g}{unit}"
