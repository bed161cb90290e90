"""The policy's decisions on this machine, one JSON line each, so that the last ones can be read after the watcher."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import platformdirs

from pdctl.model.events import plain
from pdctl.model.keeper_events import KeeperEvent

SHOWN: Final = 20
KEPT: Final = 2000
"""Decisions in the file; half a day of one every 30 s is 1,440."""


@dataclass(slots=True)
class DecisionBook:
    """Appends to `path`; where that is not possible the watch goes on, and `trouble` says why."""

    path: Path
    trouble: str = ""
    _lines: int | None = field(default=None)

    @classmethod
    def of(cls, cluster: str) -> DecisionBook:
        """The cluster's, in the user's state directory."""
        return cls(Path(platformdirs.user_state_dir("pdctl")) / cluster / "decisions.jsonl")

    def add(self, ts: float, event: KeeperEvent) -> None:
        """`ts`: wall clock."""
        line = json.dumps({"ts": ts, "event": event.event, **plain(event)})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            self._lines = (self._count() if self._lines is None else self._lines) + 1
            if self._lines > KEPT:
                self._shorten()
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror or error}"

    def last(self, count: int = SHOWN) -> tuple[Mapping[str, Any], ...]:
        """The last decisions, oldest first; lines that are none are passed over."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                lines = deque(file, maxlen=count)
        except OSError:
            return ()
        entries = (_entry(line) for line in lines)
        return tuple(entry for entry in entries if entry is not None)

    def _count(self) -> int:
        with self.path.open("rb") as file:
            return sum(1 for _ in file) - 1

    def _shorten(self) -> None:
        with self.path.open(encoding="utf-8", errors="replace") as file:
            kept = deque(file, maxlen=KEPT // 2)
        short = self.path.with_suffix(".new")
        short.write_text("".join(kept), encoding="utf-8")
        short.replace(self.path)
        self._lines = len(kept)


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
