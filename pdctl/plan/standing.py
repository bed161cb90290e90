"""How each wanted instance stands against what was seen: the one place where `unknown` is told from `absent`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pdctl.model.deployment import Instance
from pdctl.model.observed import Observed, Trouble
from pdctl.model.unit import UnitState, UnitStatus

NOT_RUNNING = "not running"
"""The reason where there is none: no unit of it is there."""


class Standing(StrEnum):
    """`serving`: runs as wanted and is a member. `unregistered`: runs as wanted, is no member (may still load)."""

    SERVING = "serving"
    UNREGISTERED = "unregistered"
    OUTDATED = "outdated"
    PARTIAL = "partial"  # some parts of a multi-node instance run, others do not
    STOPPING = "stopping"
    DOWN = "down"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Stand:
    """One instance's standing, the reason in words, and for BLOCKED the trouble of the node in `blocked_node`."""

    standing: Standing
    reason: str
    trouble: Trouble | None = None
    blocked_node: str = ""


def stand(instance: Instance, hashes: Mapping[str, str], observed: Observed) -> Stand:
    """How `instance` stands. `hashes` maps each part's name to the spec hash that is wanted."""
    for part in instance.parts:
        trouble = observed.unreachable.get(part.node)
        if trouble is not None:
            return Stand(Standing.BLOCKED, f"{part.node} is unreachable: {trouble.cause}", trouble, part.node)
    for part in instance.parts:
        seen_on = observed.nodes_of(part.name)
        if seen_on and part.node not in seen_on:
            cause = f"{part.name} is on {seen_on[0]}, where the inventory does not have it"
            hint = f"was the host of a node changed? `pdctl down {part.name}` stops it there"
            return Stand(Standing.BLOCKED, cause, Trouble(cause, hint), part.node)
    units = [(part.name, observed.unit(part.name)) for part in instance.parts]
    states = {unit.state if unit else UnitState.ABSENT for _, unit in units}
    for _, unit in units:
        if unit is not None and unit.state is UnitState.UNKNOWN:
            cause = unit.exit.cause if unit.exit is not None else "its state could not be read"
            return Stand(Standing.BLOCKED, f"state unknown: {cause}", Trouble(cause), instance.leader.node)
    if states == {UnitState.RUNNING}:
        return _running(instance, hashes, units, observed)
    if UnitState.RUNNING in states:
        gone = ", ".join(name for name, unit in units if unit is None or unit.state is not UnitState.RUNNING)
        return Stand(Standing.PARTIAL, f"{gone} is not running")
    if UnitState.STOPPING in states:
        return Stand(Standing.STOPPING, "still stopping")
    return Stand(Standing.DOWN, _why_down(units))


def _running(
    instance: Instance,
    hashes: Mapping[str, str],
    units: list[tuple[str, UnitStatus | None]],
    observed: Observed,
) -> Stand:
    for name, unit in units:
        if unit is None:
            continue
        if unit.labels.pool != instance.pool:
            return Stand(Standing.OUTDATED, f"pool {unit.labels.pool} -> {instance.pool}")
        if unit.labels.spec_hash != hashes[name]:
            return Stand(Standing.OUTDATED, f"settings changed (spec {unit.labels.spec_hash} -> {hashes[name]})")
    leader = units[0][1]
    generation = leader.labels.generation if leader else 0
    if observed.membership is None:
        return Stand(Standing.UNREGISTERED, f"runs, membership unknown: {observed.membership_trouble}")
    member, listed = observed.membership.members.get(instance.name), observed.membership.listed
    if listed is not None and listed.get(instance.name) != generation:
        return Stand(Standing.UNREGISTERED, "runs, but is not on the list of members")
    if member is None or member.generation != generation:
        return Stand(Standing.UNREGISTERED, "runs, but is not registered")
    return Stand(Standing.SERVING, "serving" if member.registered else f"withheld by the registrar: {member.why}")


def _why_down(units: list[tuple[str, UnitStatus | None]]) -> str:
    for _, unit in units:
        if unit is not None and unit.exit is not None and unit.state is UnitState.FAILED:
            return unit.exit.cause
    for _, unit in units:
        if unit is not None and unit.exit is not None:
            return f"not running ({unit.exit.cause})"
    failed = any(unit is not None and unit.state is UnitState.FAILED for _, unit in units)
    return "failed, and left no evidence of how" if failed else NOT_RUNNING
