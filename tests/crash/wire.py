"""One controller's line to the cluster: every call is counted, and at one of them something goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from pdctl.errors import ConnectionLost

LATENCY_S = 0.01


class Killed(BaseException):
    """SIGKILL to the controller: no handler of its own may catch it, and no further call of its has any effect."""


class Fault(StrEnum):
    """What happens at one call."""

    KILLED_BEFORE = "the controller is killed before its request is out"
    KILLED_AFTER = "the controller is killed before the reply is in"
    REQUEST_LOST = "the request is lost, the controller lives on"
    REPLY_LOST = "the reply is lost, the controller lives on"
    FROZEN = "the controller stops before its request is out, and goes on much later"


@dataclass(frozen=True, slots=True)
class Call:
    """One call that a controller made."""

    node: str
    what: str
    mutates: bool


@dataclass(slots=True)
class Wire:
    """The calls of one controller; call number `at` (from 0) suffers `fault`."""

    at: int = -1
    fault: Fault | None = None
    calls: list[Call] = field(default_factory=list)
    dead: bool = False
    frozen: asyncio.Event = field(default_factory=asyncio.Event)
    thawed: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def call(self, node: str, what: str, *, mutates: bool) -> AsyncIterator[None]:
        """The body is the effect. Raises ConnectionLost or Killed as the fault has it."""
        await self._awake()
        self._live()
        fault = self.fault if len(self.calls) == self.at else None
        self.calls.append(Call(node, what, mutates))
        if fault is Fault.KILLED_BEFORE:
            self._die()
        if fault is Fault.FROZEN:
            self.frozen.set()
            await self._awake()
        if fault is Fault.REQUEST_LOST:
            raise ConnectionLost(node, f"lost before {what}")
        await asyncio.sleep(LATENCY_S)
        self._live()
        yield
        if fault is Fault.KILLED_AFTER:
            self._die()
        if fault is Fault.REPLY_LOST:
            raise ConnectionLost(node, f"lost after {what}")
        await asyncio.sleep(LATENCY_S)
        self._live()

    async def _awake(self) -> None:
        if self.frozen.is_set():
            await self.thawed.wait()

    def _die(self) -> None:
        self.dead = True
        raise Killed

    def _live(self) -> None:
        if self.dead:
            raise Killed
