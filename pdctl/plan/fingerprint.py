"""What a plan was made from, flat and comparable: a saved plan is good for as long as all of it is the same."""

from __future__ import annotations

from collections.abc import Mapping

from pdctl.model.observed import Observed
from pdctl.model.unit import UnitStatus


def fingerprint(observed: Observed) -> Mapping[str, str]:
    """By subject (`unit n1.main.0`, `member n1.main.0`, `node n3`, `hold n1.main`), what was seen of it, in words.

    Only what a plan depends on: a restart of the router by itself, an engine's health or a log that grew are not in it.
    """
    seen: dict[str, str] = {}
    for node, trouble in observed.unreachable.items():
        seen[f"node {node}"] = f"out of reach: {trouble.cause}"
    for name, unit in observed.units.items():
        seen[f"unit {name}"] = _unit(unit)
    seen.update((f"member {name}", text) for name, text in _members(observed).items())
    for slot, hold in observed.holds.standing.items():
        seen[f"hold {slot}"] = f"{hold.kind.value} by {hold.by}"
    return dict(sorted(seen.items()))


def what_changed(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """In words, each difference between two fingerprints; none where they are the same."""
    return tuple(
        f"{subject}: {before.get(subject, 'none')} -> {now.get(subject, 'none')}"
        for subject in sorted(before.keys() | now.keys())
        if before.get(subject) != now.get(subject)
    )


def _unit(unit: UnitStatus) -> str:
    labels = unit.labels
    pool = f" of {labels.pool}" if labels.pool else ""
    return f"{unit.state.value}{pool}, generation {labels.generation}, spec {labels.spec_hash}"


def _members(observed: Observed) -> dict[str, str]:
    if observed.membership is None:
        return {"list": "not known"}
    listed = observed.membership.listed
    if listed is None:
        listed = {name: member.generation for name, member in observed.membership.members.items()}
    return {name: f"generation {generation}" for name, generation in listed.items()}
