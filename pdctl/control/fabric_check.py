"""Carries out a fabric plan: round after round, both ends of every session, through the nodes' held connections.

Nothing is left behind: a server runs behind a stream whose watcher ends it when we go, and under `timeout` besides.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pdctl.control.clock import Clock
from pdctl.errors import DeadlineExceeded, NodeError
from pdctl.health.fabric import FabricPlan, Session, ping_argv, pingpong_argv, write_bw_argv, write_lat_argv
from pdctl.health.fabric_verdict import Broken, Outcome, Ping, SessionResult, ping
from pdctl.health.parse.fabric_tests import ib_write_bw, ib_write_lat, ibv_rc_pingpong
from pdctl.model.reading import Known, Reading, Unknown
from pdctl.ssh.ports import Completed, Shells
from pdctl.ssh.text import last_line, printable

T = TypeVar("T")

_NOT_FOUND = 127
_NOT_ALLOWED = re.compile(r"permission denied|not permitted|cannot allocate memory", re.IGNORECASE)
"""What verbs say where the login may not open the device or lock memory: that is no fault of the fabric."""

_NO_SERVER_YET = ("couldn't connect", "connection refused", "unable to init the socket connection")


@dataclass(frozen=True, slots=True)
class FabricLimits:
    """Times in seconds. `test_s` bounds one test, `attempt_s` lies between two tries to reach a server that starts."""

    test_s: float = 15.0
    attempts: int = 10
    attempt_s: float = 0.3


async def run_fabric(
    plan: FabricPlan, shells: Shells, clock: Clock, limits: FabricLimits | None = None
) -> AsyncIterator[SessionResult]:
    """Results as they come, round by round. A session that fails never ends the others."""
    runner = _Runner(shells, clock, limits or FabricLimits())
    for sessions in plan.rounds:
        tasks = [asyncio.create_task(runner.session(session)) for session in sessions]
        try:
            for done in asyncio.as_completed(tasks):
                yield await done
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Runner:
    shells: Shells
    clock: Clock
    limits: FabricLimits

    async def session(self, session: Session) -> SessionResult:
        """The tests one after the other, each only where the address and the connection got through."""
        reached = await self._ping(session)
        if not isinstance(reached, Known) or reached.value.received == 0:
            skipped = Unknown("not tried: the two addresses do not reach each other")
            return SessionResult(session, reached, skipped, skipped, skipped)
        stands = await self._pair(session, pingpong_argv, ibv_rc_pingpong)
        if not isinstance(stands, Known):
            none = Unknown("not tried: no RDMA connection")
            return SessionResult(session, reached, stands, none, none)
        latency = await self._pair(session, write_lat_argv, ib_write_lat)
        return SessionResult(session, reached, stands, latency, await self._pair(session, write_bw_argv, ib_write_bw))

    async def _ping(self, session: Session) -> Outcome[Ping]:
        ran = await self._run(session.client.node, ping_argv(session))
        return ping(printable(ran.stdout or ran.stderr, max_chars=4000)) if isinstance(ran, Completed) else ran

    async def _pair(
        self, session: Session, argv: Callable[..., tuple[str, ...]], parse: Callable[[str], Reading[T]]
    ) -> Outcome[T]:
        """One test with a server at one end. The server's own failure is a better reason than the client's."""
        bounded = ("timeout", "-k", "2", f"{self.limits.test_s + self.limits.attempts:g}")
        shell = self.shells.shell(session.server.node)
        try:
            async with shell.stream((*bounded, *argv(session, server=True))) as server:
                ending = asyncio.create_task(server.wait())
                try:
                    ran = await self._client(session, argv(session, server=False), ending)
                    early = ending.done() and not ending.cancelled() and ending.exception() is None
                    status = ending.result() if early else 0
                    return _outcome(ran, parse, server_status=status, server_said=last_line(server.stderr))
                finally:
                    ending.cancel()
                    await asyncio.gather(ending, return_exceptions=True)
        except NodeError as error:
            return Unknown(str(error))

    async def _client(
        self, session: Session, argv: Sequence[str], server: asyncio.Task[int]
    ) -> Completed | Unknown | Broken:
        """The client's run. It is tried again while the server is not there yet, and no more once it has ended."""
        ran: Completed | Unknown | Broken = Unknown("not tried")
        for _ in range(self.limits.attempts):
            await self.clock.sleep(self.limits.attempt_s)
            ran = await self._run(session.client.node, argv)
            if not isinstance(ran, Completed) or ran.status == 0 or server.done() or not _no_server_yet(ran):
                break
        return ran

    async def _run(self, node: str, argv: Sequence[str]) -> Completed | Unknown | Broken:
        try:
            return await self.shells.shell(node).run(argv, deadline_s=self.limits.test_s, max_bytes=64 << 10)
        except DeadlineExceeded as error:
            return Broken(str(error), argv[0])
        except NodeError as error:
            return Unknown(str(error))


def _no_server_yet(ran: Completed) -> bool:
    said = (ran.stdout + ran.stderr).decode("utf-8", "replace").lower()
    return any(phrase in said for phrase in _NO_SERVER_YET)


def _outcome(
    ran: Completed | Unknown | Broken, parse: Callable[[str], Reading[T]], *, server_status: int, server_said: str
) -> Outcome[T]:
    """What the client's output says. A tool that is not installed makes the result unknown; one that ran, and did not
    get through, has failed."""
    if not isinstance(ran, Completed):
        return ran
    if _NOT_FOUND in (ran.status, server_status):
        where = "server" if server_status == _NOT_FOUND else "client"
        return Unknown(f"the tool is not installed at the {where}: {server_said or last_line(ran.stderr)}")
    found = parse(printable(ran.stdout, max_chars=16_000))
    if ran.status == 0:
        return found
    for end, text in (("server", server_said if server_status else ""), ("client", printable(ran.stderr))):
        if _NOT_ALLOWED.search(text):
            return Unknown(f"the login may not run it on the {end}: {last_line(text)}", end)
    said = server_said if server_status else ""
    return Broken(said or last_line(ran.stderr) or last_line(ran.stdout) or f"status {ran.status}", "client")
