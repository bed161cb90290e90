"""What `scrape_on_node` sends, put together again: whole scrapes, losses, and the node's own counters. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pdctl.telemetry.scan import Scan, Scanner, Series


@dataclass(frozen=True, slots=True)
class Scraped:
    """A whole scrape of one target, at the node's monotonic time."""

    target: str
    at_s: float
    scan: Scan


@dataclass(frozen=True, slots=True)
class Lost:
    """A target that could not be scraped."""

    target: str
    at_s: float
    why: str


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """The node's NICs by RDMA device and GPUs by index, as `sysfs_on_node` read them."""

    at_s: float
    nics: Mapping[str, Mapping[str, Any]]
    gpus: Mapping[str, Mapping[str, Any]]


Heard: TypeAlias = Scraped | Lost | NodeSeen


@dataclass(slots=True)
class _Target:
    heads: list[Series | None] = field(default_factory=list)
    values: dict[Series, float] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)  # numbers whose last value cannot be read


@dataclass(slots=True)
class NodeFeed:
    """One node's stream from its beginning; a new stream needs a new feed."""

    names: frozenset[str]
    _scanner: Scanner = field(init=False)
    _targets: dict[str, _Target] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._scanner = Scanner(self.names)

    def take(self, line: bytes) -> Heard | None:
        """What one line brings; None for parts of a scrape. Raises ValueError for what the program never says."""
        try:
            said = json.loads(line)
            kind = said["k"]
            if kind == "node":
                return NodeSeen(said["at"], said["nics"], said["gpus"])
            if kind == "lost":
                return Lost(said["t"], said["at"], said["why"])
            target = self._targets.setdefault(said["t"], _Target())
            if kind == "heads":
                self._define(target, said["from"], said["heads"])
                return None
            self._update(target, said["v"])
            if kind == "part":
                return None
            return Scraped(said["t"], said["at"], Scan(dict(target.values), len(target.damaged)))
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"a line that the scraper does not send: {line[:80]!r}") from error

    def _define(self, target: _Target, first: int, heads: list[str]) -> None:
        if first == 0:
            target.heads.clear()
            target.values.clear()
            target.damaged.clear()
        if first != len(target.heads):
            raise ValueError(f"heads from {first} after {len(target.heads)}")
        target.heads.extend(self._scanner.series(head) for head in heads)

    def _update(self, target: _Target, values: Mapping[str, str]) -> None:
        heads, known, damaged = target.heads, target.values, target.damaged
        for number, text in values.items():
            series = heads[int(number)]
            if series is None:
                continue
            try:
                known[series] = float(text)
            except ValueError:
                damaged.add(number)
            else:
                if damaged:
                    damaged.discard(number)
