"""What checks have to remember between two runs: counters' baselines and engines' pace, on the operator's machine.

Losing it costs one comparison and nothing else, so what cannot be read counts as not there. Writing goes through a
temporary file and a rename; what another run wrote meanwhile about other nodes stays.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from pdctl.health.counters import Baseline, CounterId
from pdctl.health.pace import PaceProfile

SCHEMA = 1


class HealthRecords(Protocol):
    """The memory of one cluster. Keys: node names for baselines, instance names for paces."""

    def baselines(self) -> Mapping[str, Baseline]:
        """What the nodes' counters held at the last check; empty where nothing is remembered."""
        ...

    def keep_baselines(self, baselines: Mapping[str, Baseline]) -> None:
        """Remember these nodes' counters. Raises OSError where nothing can be written."""
        ...

    def paces(self) -> Mapping[str, PaceProfile]:
        """How long engines took before."""
        ...

    def keep_paces(self, paces: Mapping[str, PaceProfile]) -> None:
        """Remember these engines' times. Raises OSError where nothing can be written."""
        ...


@dataclass(slots=True)
class MemoryRecords:
    """Records that end with their process: replay, and tests."""

    _baselines: dict[str, Baseline] = field(default_factory=dict)
    _paces: dict[str, PaceProfile] = field(default_factory=dict)

    def baselines(self) -> Mapping[str, Baseline]:
        """See `HealthRecords`."""
        return dict(self._baselines)

    def keep_baselines(self, baselines: Mapping[str, Baseline]) -> None:
        """See `HealthRecords`."""
        self._baselines.update(baselines)

    def paces(self) -> Mapping[str, PaceProfile]:
        """See `HealthRecords`."""
        return dict(self._paces)

    def keep_paces(self, paces: Mapping[str, PaceProfile]) -> None:
        """See `HealthRecords`."""
        self._paces.update(paces)


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Counter(_Stored):
    device: str
    counter: str
    identity: str = ""
    value: int


class _Node(_Stored):
    machine_id: str
    boot_id: str
    wall_s: float
    counters: tuple[_Counter, ...] = ()


class _Pace(_Stored):
    spec_hash: str
    times_s: tuple[float, ...] = ()


class _File(_Stored):
    schema_version: int = SCHEMA
    nodes: dict[str, _Node] = {}
    paces: dict[str, _Pace] = {}


@dataclass(frozen=True, slots=True)
class FileRecords:
    """One JSON file per cluster, `<directory>/health/<cluster>.json`; the directory is the user's state directory."""

    path: Path

    @classmethod
    def of(cls, cluster: str, directory: Path) -> FileRecords:
        return cls(directory / "health" / f"{cluster}.json")

    def baselines(self) -> Mapping[str, Baseline]:
        """See `HealthRecords`."""
        return {name: _baseline(node) for name, node in self._read().nodes.items()}

    def keep_baselines(self, baselines: Mapping[str, Baseline]) -> None:
        """See `HealthRecords`."""
        before = self._read()
        nodes = {name: _node(baseline) for name, baseline in baselines.items()}
        self._write(before.model_copy(update={"nodes": {**before.nodes, **nodes}}))

    def paces(self) -> Mapping[str, PaceProfile]:
        """See `HealthRecords`."""
        return {name: PaceProfile(pace.spec_hash, pace.times_s) for name, pace in self._read().paces.items()}

    def keep_paces(self, paces: Mapping[str, PaceProfile]) -> None:
        """See `HealthRecords`."""
        before = self._read()
        kept = {name: _Pace(spec_hash=pace.spec_hash, times_s=pace.times_s) for name, pace in paces.items()}
        self._write(before.model_copy(update={"paces": {**before.paces, **kept}}))

    def _read(self) -> _File:
        try:
            return _File.model_validate_json(self.path.read_bytes())
        except (OSError, ValidationError):
            return _File()

    def _write(self, content: _File) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(content.model_dump_json())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _baseline(node: _Node) -> Baseline:
    values = {CounterId(each.device, each.counter, each.identity): each.value for each in node.counters}
    return Baseline(node.machine_id, node.boot_id, node.wall_s, values)


def _node(baseline: Baseline) -> _Node:
    counters = tuple(
        _Counter(device=key.device, counter=key.counter, identity=key.identity, value=value)
        for key, value in sorted(baseline.values.items())
    )
    return _Node(machine_id=baseline.machine_id, boot_id=baseline.boot_id, wall_s=baseline.wall_s, counters=counters)
