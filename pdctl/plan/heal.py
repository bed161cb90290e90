"""Who is dead, and what is done about it: relaunched once, and held when that did not help. Pure: no clock, no I/O.

Dead is what ended unasked, or hung for long. What an operator stopped, what is held, and what cannot be seen is not: a
node that is out of reach may serve on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pdctl.model.deployment import Deployment, Instance
from pdctl.model.observed import Observed
from pdctl.model.unit import UnitState
from pdctl.plan.held import hold_on, slots_of

ONCE_IN_S: Final = 1800.0
"""A slot's engine is relaunched at most once in this time; what dies again within it is quarantined."""
HUNG_S: Final = 120.0
"""An engine that has work and takes no step for this long will not take one any more: a long prefill takes seconds."""


class Remedy(StrEnum):
    """What is done about a dead engine. LEAVE: nothing, for a reason that an operator should know."""

    RELAUNCH = "relaunch"
    QUARANTINE = "quarantine"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Death:
    """A dead engine. `hung`: its process lives, and has to be stopped first."""

    instance: str
    slots: tuple[str, ...]
    cause: str
    hung: bool = False


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done about one death, and why not more."""

    death: Death
    remedy: Remedy
    why: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """When engines were last relaunched by healing, by slot: wall-clock seconds, from the cluster's journal."""

    relaunched: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_journal(cls, entries: Iterable[Mapping[str, Any]]) -> Memory:
        """From the entries of `Healing` events: they are written before the effect, whatever became of it."""
        last: dict[str, float] = {}
        for entry in entries:
            slots, at = entry.get("slots"), entry.get("ts")
            if entry.get("event") != "healing" or not isinstance(slots, list) or not isinstance(at, int | float):
                continue
            for slot in slots:
                last[str(slot)] = max(float(at), last.get(str(slot), float("-inf")))
        return cls(last)

    def lately(self, slots: Iterable[str], now_s: float) -> bool:
        """Whether one of `slots` was relaunched within the time, or, by a clock that was set back, after now."""
        return any(now_s - self.relaunched[slot] < ONCE_IN_S for slot in slots if slot in self.relaunched)


def deaths(deployment: Deployment, observed: Observed, hung_s: Mapping[str, float] | None = None) -> tuple[Death, ...]:
    """Every dead engine of the deployment. `hung_s`: for how long engines have not taken a step, by name."""
    found = (_death(instance, observed, (hung_s or {}).get(instance.name, 0.0)) for instance in deployment.instances)
    return tuple(death for death in found if death is not None)


def treat(
    found: Iterable[Death], memory: Memory, now_s: float, changed: Mapping[str, str] | None = None
) -> tuple[Treatment, ...]:
    """What is done about each. `now_s`: wall clock. `changed`: instances that the inventory wants otherwise than it
    was applied, with why; healing brings back what was, and nothing new."""
    treated = []
    for death in found:
        if death.instance in (changed or {}):
            treated.append(Treatment(death, Remedy.LEAVE, (changed or {})[death.instance]))
        elif memory.lately(death.slots, now_s):
            treated.append(Treatment(death, Remedy.QUARANTINE))
        else:
            treated.append(Treatment(death, Remedy.RELAUNCH))
    return tuple(treated)


def _death(instance: Instance, observed: Observed, hung_s: float) -> Death | None:
    slots = slots_of(instance)
    if observed.holds.trouble or hold_on(instance, observed.holds.standing) is not None:
        return None
    if not observed.unreachable.keys().isdisjoint(instance.nodes):
        return None
    units = [observed.unit(part.name) for part in instance.parts]
    ended = [unit for unit in units if unit is not None and unit.state in (UnitState.FAILED, UnitState.EXITED)]
    if any(unit.exit is not None and unit.exit.requested for unit in ended):
        return None  # stopped: even where something of it survived SIGKILL, or another node's part then ended by itself
    for unit in ended:
        return Death(instance.name, slots, unit.exit.cause if unit.exit is not None else "failed without evidence")
    runs = all(unit is not None and unit.state is UnitState.RUNNING for unit in units)
    if runs and hung_s >= HUNG_S:
        return Death(instance.name, slots, f"has work and has taken no step for {hung_s:.0f} s", hung=True)
    return None
