"""Units: what pdctl starts on a node, how it is labelled, and what is seen of it afterwards.

A unit is named `pdctl.<cluster>.<instance part>` and carries exact labels; they are matched by value, never by prefix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from pdctl.model.role import UnitKind


@dataclass(frozen=True, slots=True)
class Labels:
    """Who a unit is. `instance` is the part's name (`node.slot.i`), `router` or `registrar`. `pool` is "" for those.

    `facts`: digest of what was found on its node and told to it (`FabricFacts`); "" where nothing was.
    """

    cluster: str
    instance: str
    generation: int
    spec_hash: str
    kind: UnitKind
    pool: str = ""
    role: str = ""
    gpus: tuple[int, ...] = ()
    facts: str = ""

    @property
    def unit(self) -> str:
        return unit_name(self.cluster, self.instance)


def unit_name(cluster: str, instance: str) -> str:
    """The unit's name on its node."""
    return f"pdctl.{cluster}.{instance}"


class Restart(StrEnum):
    """Engines never restart by themselves (the same ports would be reused); router and registrar always do."""

    NEVER = "never"
    ALWAYS = "always"


Template: TypeAlias = tuple[str | int, ...]
"""A word with ports in it: texts stand for themselves, numbers for ports counted from a launch's first one."""


@dataclass(frozen=True, slots=True)
class Relaunch:
    """How a node launches a unit again by itself after a reboot. `blocks`: first ports of the blocks that it may use,
    in the order of generations; each is `block_size` ports long."""

    argv: tuple[Template, ...]
    env: Mapping[str, Template]
    blocks: tuple[int, ...]
    block_size: int


@dataclass(frozen=True, slots=True)
class UnitSpec:
    """What to start. `secret_env` reaches the process only through a 0600 file or its supervisor's memory,
    and never a repr.

    `stop_s` is the time from SIGTERM to SIGKILL of the whole group. `paths` must exist on the node and `ports` (on
    `address`) must be free before the start is tried; `files` are written beside the unit first (name -> content).
    In argv, env values and files, `{unit_dir}` stands for the directory on the node that holds them, and
    `{cluster_dir}` for the cluster's own, which outlives its units. `user` None is the login; `user` and `relaunch` are
    for the systemd supervisor.
    """

    labels: Labels
    argv: tuple[str, ...]
    env: Mapping[str, str]
    restart: Restart
    stop_s: float
    secret_env: Mapping[str, str] = field(default_factory=dict, repr=False)
    paths: tuple[str, ...] = ()
    address: str = "127.0.0.1"
    ports: tuple[int, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    relaunch: Relaunch | None = None


class UnitState(StrEnum):
    """`unknown` is a state of its own: the node could not be asked."""

    RUNNING = "running"
    STOPPING = "stopping"
    EXITED = "exited"  # ended by itself with status 0, or stopped on request
    FAILED = "failed"  # ended by itself with another status, by a signal, or could not start
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ExitEvidence:
    """How a unit ended. `forced`: SIGKILL was needed; `leftovers`: processes swept after the main one. `reason` is set
    where status and signal do not tell: it could not be run, it went with a reboot, nobody saw it end."""

    status: int | None
    signal: str | None
    at: float  # Unix time by the node's clock
    requested: bool
    forced: bool = False
    leftovers: int = 0
    last_lines: tuple[str, ...] = ()
    reason: str = ""

    @property
    def cause(self) -> str:
        """One phrase: `exit status 1`, `killed by SIGKILL`, `stopped`, or the reason."""
        if self.reason:
            return self.reason
        if self.requested and self.signal == "SIGTERM":
            return "stopped"
        if self.signal:
            return f"killed by {self.signal}"
        if self.status is None:
            return "ended, cause unknown"
        return "stopped" if self.requested and self.status == 0 else f"exit status {self.status}"


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """One unit as its node reports it. `incarnation` changes with every process start (boot id, pid, start time)."""

    labels: Labels
    state: UnitState
    pid: int | None = None
    incarnation: str = ""
    started_at: float | None = None
    restarts: int = 0
    exit: ExitEvidence | None = None
    endpoint: str = ""  # "address:port" as recorded at the start, "" where there is none
    image: str = ""  # id of the image that its container was made from, "" where it is no container
    log_bytes: int = 0  # changes with what is written to the log, which shows progress; bytes where they are counted


@dataclass(frozen=True, slots=True)
class StopReport:
    """What a stop did. `gone` False means that something of the unit still lives (named in `survivors`)."""

    unit: str
    existed: bool
    gone: bool
    forced: bool = False
    leftovers: int = 0
    took_s: float = 0.0
    survivors: tuple[str, ...] = ()
