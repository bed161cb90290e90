"""Drift: what a plan has to do although the inventory does not ask for anything new there.

A change follows from the inventory where it differs from the one that was last applied. All else is drift: an engine
died, was stopped, or was started otherwise. What lives and was started as no inventory says was somebody's doing: it
is left alone until an operator takes it over (`Drift.by_hand`).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from pdctl.model.deployment import Deployment
from pdctl.model.observed import Observed
from pdctl.model.unit import UnitState, UnitStatus
from pdctl.plan.steps import ELSEWHERE, Change, ChangeKind

_LIVES = (UnitState.RUNNING, UnitState.STOPPING)
_STRAY = "runs, and is in no inventory that was applied"


@dataclass(frozen=True, slots=True)
class Known:
    """Spec hashes by unit name: of the inventory that was last applied, and of all that pdctl has launched and that may
    still run (a run that was cut off or limited to a part, an engine that could not be replaced)."""

    applied: Mapping[str, str]
    launched: Mapping[str, Set[str]] = field(default_factory=dict)

    def ours(self, unit: UnitStatus) -> bool:
        """Whether pdctl may have launched it."""
        name, spec = unit.labels.instance, unit.labels.spec_hash
        return spec == self.applied.get(name) or spec in self.launched.get(name, ())

    def all(self) -> dict[str, Set[str]]:
        """Both together."""
        names = {*self.applied, *self.launched}
        return {name: {*self.launched.get(name, ()), *self._of(name)} for name in names}

    def _of(self, name: str) -> tuple[str, ...]:
        return (self.applied[name],) if name in self.applied else ()


@dataclass(frozen=True, slots=True)
class Drift:
    """What is not as it was left. `by_hand`: it lives, and nothing that was ever applied says so."""

    subject: str
    text: str
    by_hand: bool = False


def find_drift(
    change: Change, deployment: Deployment, observed: Observed, wanted: Mapping[str, str], known: Known
) -> Drift | None:
    """Why `change` is needed although the inventory did not change there; None where it follows from an edit of it.

    `wanted`: spec hashes of the inventory at hand, by unit name.
    """
    if change.kind in (ChangeKind.RESTART, ChangeKind.FIX) or ELSEWHERE in change.subject:
        return None
    names = _parts(deployment, change.subject)
    units = [observed.unit(name) for name in names]
    living = [unit for unit in units if unit is not None and unit.state in _LIVES]
    for alive in living:
        if not known.ours(alive) and alive.labels.spec_hash != wanted.get(alive.labels.instance):
            what = _STRAY if change.kind is ChangeKind.STOP else f"was started otherwise {_spec(alive)}"
            return Drift(change.subject, what, by_hand=True)
    if any(name not in known.applied for name in names):
        return Drift(change.subject, _STRAY) if change.kind is ChangeKind.STOP else None
    if change.kind is ChangeKind.STOP:
        return None
    for name, unit in zip(names, units, strict=True):
        if unit is None:
            return Drift(change.subject, "is gone without a trace")
        if unit.state in (UnitState.EXITED, UnitState.FAILED, UnitState.ABSENT):
            return Drift(change.subject, _ended(unit))
        if unit.labels.spec_hash == known.applied[name] != wanted.get(name):
            return None
        if unit.labels.spec_hash != wanted.get(name):
            return Drift(change.subject, f"was launched with other settings since {_spec(unit)}")
    return Drift(change.subject, change.reason)


def anything_lives(observed: Observed) -> bool:
    """Whether any unit of the cluster is there: a cluster that was taken down has not drifted."""
    return any(unit.state in _LIVES for unit in observed.units.values())


def _parts(deployment: Deployment, subject: str) -> tuple[str, ...]:
    found = next((each.parts for each in deployment.instances if each.name == subject), ())
    return tuple(part.name for part in found) or (subject,)


def _spec(unit: UnitStatus) -> str:
    return f"(spec {unit.labels.spec_hash})"


def _ended(unit: UnitStatus) -> str:
    if unit.exit is None:
        return "does not run any more"
    return "was stopped by hand" if unit.exit.requested else f"died: {unit.exit.cause}"
