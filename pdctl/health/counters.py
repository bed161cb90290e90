"""Counters are judged by what they gained, not by what they hold: link errors of last month are no fault of today.

A gain is counted per (machine-id, boot id, device, the device's own identity, counter): after a reboot, a device swap
or a driver reload, what was seen before says nothing. Where no baseline is left, the samples of one envelope are
compared with each other, which makes the first run judge a short window instead of nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pdctl.model.reading import Known, Reading, Unknown


@dataclass(frozen=True, slots=True, order=True)
class CounterId:
    """One counter. `device` as findings name it ("mlx5_2", "gpu3"); `identity` stays with the piece of hardware
    (node_guid, a GPU's unique_id, a PCI address where there is nothing better)."""

    device: str
    counter: str
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """A counter as one envelope saw it. `values`: one per sample, oldest first, never empty."""

    id: CounterId
    values: tuple[int, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Gain:
    """What a counter gained. `over_s` is the window in seconds (None: unknown); `since` says where it begins."""

    count: int
    over_s: float | None
    since: str  # "the last check" | "a moment before"

    def __str__(self) -> str:
        window = "" if self.over_s is None else f" ({self.over_s:.0f} s)"
        return f"+{self.count} since {self.since}{window}"


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a node's counters held when they were last looked at. `wall_s` is the node's own clock then."""

    machine_id: str
    boot_id: str
    wall_s: float
    values: Mapping[CounterId, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gains:
    """Gains by (device, counter)."""

    known: Mapping[tuple[str, str], Reading[Gain]] = field(default_factory=dict)

    def of(self, device: str, counter: str) -> Reading[Gain]:
        """What that counter gained; Unknown where it was not read or nothing can be compared."""
        missing = Unknown(f"the counter {counter} of {device} was not read")
        return self.known.get((device, counter), missing)


def gains(counted: Iterable[Counted], machine_id: str, boot_id: str, wall_s: float, base: Baseline | None) -> Gains:
    """Gains since `base`, or within the envelope where `base` does not hold for this boot of this machine."""
    usable = base is not None and bool(boot_id) and (base.machine_id, base.boot_id) == (machine_id, boot_id)
    found = {}
    for each in counted:
        before = base.values.get(each.id) if usable and base is not None else None
        over_s = wall_s - base.wall_s if before is not None and base is not None and wall_s >= base.wall_s else None
        found[each.id.device, each.id.counter] = _gain(each, before, over_s)
    return Gains(found)


def _gain(counted: Counted, before: int | None, over_s: float | None) -> Reading[Gain]:
    now = counted.values[-1]
    if before is not None:
        if now < before:
            return Unknown(f"it fell from {before} to {now}: it was reset, and counts anew from here", counted.source)
        return Known(Gain(now - before, over_s, "the last check"), counted.source)
    if len(counted.values) < 2:
        return Unknown("no earlier look to compare with; the next check will know", counted.source)
    first = counted.values[0]
    if now < first:
        return Unknown(f"it fell from {first} to {now} while it was read", counted.source)
    return Known(Gain(now - first, None, "a moment before"), counted.source)


def next_baseline(counted: Iterable[Counted], machine_id: str, boot_id: str, wall_s: float) -> Baseline:
    """What to keep for the next check."""
    return Baseline(machine_id, boot_id, wall_s, {each.id: each.values[-1] for each in counted})
