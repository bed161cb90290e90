"""One node's NICs and GPUs over time: counters become rates, and what is old is not shown as what is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pdctl.model.figure import Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import WINDOWS_S, GpuFigures, NicFigures, NodeFigures
from pdctl.telemetry.instance import STALE_TICKS
from pdctl.telemetry.node_feed import NodeSeen

WORD_BYTES: Final = 4
"""`port_xmit_data` counts 4-byte words (Linux Documentation/ABI/stable/sysfs-class-infiniband)."""

OLD_S: Final = 5.0
"""Counters that are older than this, and than two ticks, are not shown; sysfs of eight GPUs may take a while."""


@dataclass(slots=True)
class NodeHistory:
    """What one node said. `first`: the first counters seen, which errors are counted from."""

    name: str
    heard_s: float | None = None
    reachable: bool | None = None
    why: str = "not heard yet"
    seen_s: float | None = None  # when its counters last came
    _seen: list[NodeSeen] = field(default_factory=list)
    _first: dict[str, float] = field(default_factory=dict)

    def heard(self, now_s: float) -> None:
        """Something came from the node."""
        self.heard_s, self.reachable, self.why = now_s, True, ""

    def lost(self, why: str, reachable: bool | None = False) -> None:
        """Its stream ended. `reachable` None: that says nothing of the node itself."""
        self.reachable, self.why = reachable, why
        self._seen.clear()

    def take(self, seen: NodeSeen, now_s: float) -> None:
        """Its counters. Only those of the shortest window are kept."""
        self.seen_s = now_s
        if self._seen and seen.at_s < self._seen[-1].at_s:  # it was booted meanwhile
            self._seen.clear()
            self._first.clear()
        for device, nic in seen.nics.items():
            if isinstance(nic.get("errors"), int):
                self._first.setdefault(device, nic["errors"])
        self._seen.append(seen)
        while len(self._seen) > 2 and seen.at_s - self._seen[1].at_s >= WINDOWS_S[0]:
            del self._seen[0]

    def figures(self, now_s: float, interval_s: float = 1.0) -> NodeFigures:
        """The node now."""
        heard_age_s = None if self.heard_s is None else max(0.0, now_s - self.heard_s)
        age_s = None if self.seen_s is None else max(0.0, now_s - self.seen_s)
        if age_s is None or age_s > max(OLD_S, STALE_TICKS * interval_s) or not self._seen:
            return NodeFigures(self.name, self.reachable, self.why, heard_age_s)
        newest, oldest = self._seen[-1], self._seen[0]
        elapsed_s = newest.at_s - oldest.at_s
        nics = tuple(
            self._nic(device, nic, oldest.nics.get(device, {}), elapsed_s, age_s) for device, nic in newest.nics.items()
        )
        gpus = tuple(_gpu(int(index), gpu, age_s) for index, gpu in newest.gpus.items())
        return NodeFigures(self.name, self.reachable, self.why, heard_age_s, gpus, nics)

    def _nic(
        self, device: str, nic: Mapping[str, Any], before: Mapping[str, Any], elapsed_s: float, age_s: float
    ) -> NicFigures:
        def rate(key: str) -> Fig:
            new, old = nic.get(key), before.get(key)
            if new is None or old is None:
                return Unknown("the device does not show it", key)
            if elapsed_s <= 0 or new < old:
                return Unknown("no two looks at the counter yet" if elapsed_s <= 0 else "the counter began anew", key)
            return Figure.exact((new - old) * WORD_BYTES / elapsed_s, age_s)

        errors, first = nic.get("errors"), self._first.get(device)
        fresh: Fig = Unknown("the device shows no error counters")
        if errors is not None and first is not None:
            fresh = Figure.exact(errors - first, age_s) if errors >= first else Unknown("the counters began anew")
        speed = _shown(nic, "rate_gbps", 1.0, age_s)
        return NicFigures(device, nic.get("state") or "", speed, rate("tx_words"), rate("rx_words"), fresh)


def _gpu(index: int, gpu: Mapping[str, Any], age_s: float) -> GpuFigures:
    return GpuFigures(
        index,
        _shown(gpu, "vram_used", 1.0, age_s),
        _shown(gpu, "vram_total", 1.0, age_s),
        _shown(gpu, "temperature_mc", 1e-3, age_s),
        _shown(gpu, "power_uw", 1e-6, age_s),
        _shown(gpu, "busy_percent", 1e-2, age_s),
        _shown(gpu, "ecc_uncorrectable", 1.0, age_s),
    )


def _shown(figures: Mapping[str, Any], key: str, scale: float, age_s: float) -> Fig:
    value = figures.get(key)
    if not isinstance(value, int | float):
        return Unknown("the node does not show it", key)
    return Figure.exact(value * scale, age_s)
