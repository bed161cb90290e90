"""What the screens need of the world: a feed of snapshots, and operations. Tests bring fakes of both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pdctl.control.execute import Interrupt
from pdctl.control.proposal import Proposal
from pdctl.control.request import Request
from pdctl.control.status import ClusterStatus
from pdctl.health.report import Report
from pdctl.model.deployment import Deployment
from pdctl.model.events import Event
from pdctl.model.hold import Holds
from pdctl.model.observed import Trouble
from pdctl.model.snapshot import PairFigures, Snapshot
from pdctl.supervisors.ports import LogLine


class Feed(Protocol):
    """Where snapshots come from: a live cluster, a recording, or a test that feeds them by hand."""

    def snapshots(self) -> AsyncIterator[Snapshot]:
        """The newest snapshot per tick; a slow reader gets the newest and never a queue. Ends with the feed."""
        ...

    @property
    def transport(self) -> Transport | None:
        """The controls of time; None where it cannot be moved."""
        ...

    @property
    def interval_s(self) -> float: ...

    def set_interval(self, interval_s: float) -> None:
        """Seconds between two ticks, from now on."""
        ...


class Transport(Protocol):
    """The controls of a recording, or of what a live feed still knows of the past: `times` are wall-clock seconds of
    snapshots, `place` the one that is shown."""

    @property
    def times(self) -> Sequence[float]: ...
    @property
    def place(self) -> int: ...
    @property
    def playing(self) -> bool: ...
    @property
    def speed(self) -> float: ...
    @property
    def live(self) -> bool:
        """Whether its end is now, and it is live while it plays; False: a recording, which never is."""
        ...

    def toggle(self) -> None: ...
    def step(self, count: int) -> None:
        """Pause, and go `count` snapshots on (or back)."""
        ...

    def seek(self, taken_s: float) -> None: ...
    def set_speed(self, speed: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Activity:
    """The journal's newest entries, oldest first, and the holds that stand. `trouble`: why it could not be read, and
    what is here is old."""

    entries: tuple[Mapping[str, Any], ...]
    trouble: str = ""
    holds: Holds = field(default_factory=Holds)


class Operations(Protocol):
    """What an operator can do or ask, each the use case of the CLI's twin. Every call may raise PdctlError."""

    @property
    def deployment(self) -> Deployment:
        """As it was last read; a move changes it."""
        ...

    @property
    def read_only(self) -> str:
        """Why nothing may be changed here ("" where it may): `--read-only`, the inventory's own word, a recording."""
        ...

    async def propose(self, request: Request) -> Proposal:
        """What would be done now. Changes nothing. Raises PlanRefused with the reason."""
        ...

    async def carry_out(self, request: Request, sink: Callable[[Event], None], interrupt: Interrupt) -> int:
        """Do it; every event goes to `sink`. Returns the exit code. Refused where `read_only` says why."""
        ...

    def logs(self, names: Sequence[str], *, lines: int) -> AsyncIterator[tuple[str, LogLine | Trouble]]:
        """The last lines of the units behind instance names, `router` or `registrar`, and what is added."""
        ...

    async def activity(self, lines: int) -> Activity: ...

    async def status(self) -> ClusterStatus: ...

    async def health(self) -> Report:
        """A check of all nodes, now."""
        ...

    async def canary(self, rounds: int) -> tuple[PairFigures, ...]:
        """A tiny request through every pair of members, `rounds` times, now. Broken pairs are in the answer."""
        ...
