"""What a sweep says beside what its batches and its points say themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pdctl.model.events import Event


@dataclass(frozen=True, slots=True)
class SweepBegan(Event):
    """`earlier`: configurations that are measured already; `busy`: nodes that are left alone, with why."""

    event: ClassVar[str] = "sweep_began"
    phase: str
    configurations: tuple[str, ...]
    earlier: tuple[str, ...]
    nodes: tuple[str, ...]
    busy: tuple[str, ...]
    directory: str


@dataclass(frozen=True, slots=True)
class BatchBegan(Event):
    """These are brought up together on one node."""

    event: ClassVar[str] = "batch_began"
    node: str
    cluster: str
    configurations: tuple[str, ...]
    gpus: int


@dataclass(frozen=True, slots=True)
class ConfigurationEnded(Event):
    """`best_tok_s`: of its points; prompt and output tokens for prefill, else output tokens. `cause`: why not all of
    its points were measured."""

    event: ClassVar[str] = "configuration_ended"
    configuration: str
    node: str
    measured: int
    points: int
    best_tok_s: float
    cause: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class BatchEnded(Event):
    """`up`: it may still run; `hint` says how it is taken down."""

    event: ClassVar[str] = "batch_ended"
    node: str
    cluster: str
    took_s: float
    up: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class SweepEnded(Event):
    """`profile`: the file that `bench match` reads; "" where nothing was measured."""

    event: ClassVar[str] = "sweep_ended"
    measured: int
    failed: int
    left: int
    profile: str
    exit_code: int
