"""The last quarter of an hour of a live cluster, in bounded memory: so that a glance can be taken back."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final

from pdctl.model.snapshot import Snapshot, Source
from pdctl.telemetry.codec import from_json, to_json

KEEP_S: Final = 900.0
MAX_BYTES: Final = 32 << 20
PER_SECOND: Final = 64
"""Instances whose figures are packed per second at most: a snapshot of 256 takes 27 ms to pack (measured), and so is
kept every 4 s."""


@dataclass(slots=True)
class Ring:
    """Snapshots by time, oldest first, packed; what comes out is marked as a recording, since it is not live."""

    keep_s: float = KEEP_S
    max_bytes: int = MAX_BYTES
    _kept: deque[tuple[float, bytes]] = field(default_factory=deque)
    _bytes: int = 0

    @property
    def times(self) -> tuple[float, ...]:
        return tuple(taken_s for taken_s, _ in self._kept)

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def wants(self, snapshot: Snapshot) -> bool:
        """Whether it is time to keep one again. One from before the newest (the clock was set back) starts anew."""
        if not self._kept:
            return True
        gap_s = snapshot.taken_s - self._kept[-1][0]
        return gap_s < 0 or gap_s >= 0.9 * max(snapshot.interval_s, len(snapshot.instances) / PER_SECOND)

    def keep(self, taken_s: float, packed: bytes) -> None:
        """Add what `pack` made of a snapshot, and let go of what is too old or too much."""
        if self._kept and taken_s < self._kept[-1][0]:
            self._kept.clear()
            self._bytes = 0
        self._kept.append((taken_s, packed))
        self._bytes += len(packed)
        while len(self._kept) > 1 and (self._kept[0][0] < taken_s - self.keep_s or self._bytes > self.max_bytes):
            self._bytes -= len(self._kept.popleft()[1])

    def at(self, taken_s: float) -> Snapshot:
        """The last one not after that time, the first where all are. Raises IndexError where there is none."""
        place = max(0, bisect_right(self.times, taken_s) - 1)
        return replace(from_json(zlib.decompress(self._kept[place][1])), source=Source.RECORDING)


def pack(snapshot: Snapshot) -> bytes:
    """A snapshot in few bytes; done in a thread, as it takes a while for a large cluster."""
    return zlib.compress(to_json(snapshot), 1)
