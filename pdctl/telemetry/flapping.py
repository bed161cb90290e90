"""Engines that go away and come back again and again: each time looks mended, all of them together do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pdctl.model.snapshot import AlertLevel, InstanceFigures, Snapshot, Vital
from pdctl.telemetry.conditions import Condition

FLAPS: Final = 3
WITHIN_S: Final = 600.0
"""An engine that went away and came back so often in so long is flapping."""
_AWAY: Final = (Vital.DOWN, Vital.HUNG, Vital.STALE)


@dataclass(slots=True)
class FlapBook:
    """Counts returns by engine; feed it every snapshot. Times are the snapshots' own."""

    _away: set[str] = field(default_factory=set)
    _launches: dict[str, int] = field(default_factory=dict)
    _returns: dict[str, list[float]] = field(default_factory=dict)

    def take(self, snapshot: Snapshot) -> Iterator[Condition]:
        """What is flapping now. A node that cannot be reached says nothing of its engines, and whoever holds a slot may
        do with it what they like."""
        for name, instance in snapshot.instances.items():
            node = snapshot.nodes.get(instance.node)
            if instance.held:
                self._away.discard(name)
                self._launches[name] = instance.generation
            elif instance.vital in _AWAY and not (node is not None and node.reachable is False):
                self._away.add(name)
            elif instance.vital is Vital.UP and self._came_back(instance):
                self._returns.setdefault(name, []).append(snapshot.taken_s)
            times = [at_s for at_s in self._returns.get(name, ()) if snapshot.taken_s - at_s <= WITHIN_S]
            self._returns[name] = times
            if len(times) >= FLAPS:
                cause = f"it went away and came back {len(times)} times in {WITHIN_S / 60:.0f} min"
                hint = f"`pdctl logs {name}`; `pdctl drain {name}` keeps requests off it"
                yield Condition(f"flapping:{name}", AlertLevel.WARN, name, cause, hint)

    def set_back(self, by_s: float) -> None:
        """The snapshots' clock was set back by so much."""
        self._returns = {name: [at_s - by_s for at_s in times] for name, times in self._returns.items()}

    def _came_back(self, instance: InstanceFigures) -> bool:
        """Whether it was seen away, or was launched anew between two snapshots."""
        before = self._launches.get(instance.name, instance.generation)
        self._launches[instance.name] = instance.generation
        back = instance.name in self._away or before not in (0, instance.generation)
        self._away.discard(instance.name)
        return back
