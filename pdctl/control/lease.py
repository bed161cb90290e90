"""The lease: one operator at a time changes a cluster. Taken for mutations only; readers never need it.

The lock lives exactly as long as an SSH channel to the lease node and is fed by heartbeats (measured: free 0.1-0.3 s
after the holder is killed). A holder that is silent for the timeout, cut off or frozen, gives way to whoever asks next;
if nobody did until it is heard again, it goes on. Every mutating command on any node passes the lease's epoch and is
refused there if that node has seen a higher one, so a holder that lost its lease unknowingly can do no harm.
The journal, the record of the last applied inventory and the holds travel over the same channel.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import socket
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib import resources
from typing import Any, Protocol

from pdctl.control.hold_record import HoldRecord, parse_holds, record_of
from pdctl.errors import LeaseHeld, NodeError, PdctlError, Unreachable
from pdctl.model.deployment import Deployment
from pdctl.model.hold import Hold
from pdctl.model.role import SupervisorKind
from pdctl.ssh.ports import Shell, Stream
from pdctl.ssh.program import prelude

SYSTEM_ROOT = "/var/lib/pdctl"
HEARTBEAT_S = 1.0
TIMEOUT_S = 10.0
"""Without a heartbeat for this long another operator may have the lock."""
PATIENCE_S = 30.0
"""Without an answer for this long the lease is lost. A machine on which real engines were loading was seen to stand
still for 17 s; a lost connection is noticed sooner, by its keepalive."""
_LOOKS = 6
MOST_AT_ONCE = 256
"""Journal entries that share one round trip; far more than that in one write could outlast the node's timeout."""
_LOST_HINT = "another operator may have taken over: look at `pdctl status`, then run it again"
_WRITE_HINT = "make room on its disk (`df -h`), or see who owns the state directory; then run it again"
_UNREACHABLE_HINT = "mend it; or, if nobody else is at work, name another `lease_node` in the inventory"
_BOOT = "import sys,json;exec(json.loads(sys.stdin.buffer.raw.readline()))"


@dataclass(frozen=True, slots=True)
class Applied:
    """The inventory that the cluster was last brought up from: who, when, and its whole text (it holds no secret).

    `trouble`: why the rest is not known; its record is there and cannot be read. `launched`: by unit name, spec
    hashes of all that pdctl has launched and that may still run; what runs with another was started by hand.
    """

    digest: str
    author: str
    at: float
    text: str
    trouble: str = ""
    launched: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Lease(Protocol):
    """A held lease."""

    @property
    def epoch(self) -> int: ...

    @property
    def applied(self) -> Applied | None:
        """The last applied inventory as it was when the lease was taken; None if there was none."""
        ...

    @property
    def holds(self) -> HoldRecord:
        """The holds as they were when the lease was taken, or why they are not known."""
        ...

    async def journal(self, entry: Mapping[str, Any]) -> None:
        """Append one entry to the cluster's journal. Raises LeaseHeld if the lease is lost, NodeError if it cannot be
        written there."""
        ...

    async def record(self, applied: Applied) -> None:
        """Remember the applied inventory."""
        ...

    async def record_holds(self, holds: Sequence[Hold]) -> None:
        """Replace the record of holds. Where it fails, whether that was done is not known."""
        ...

    def lost(self) -> asyncio.Future[str]:
        """Done, with the reason, as soon as the lease is known to be lost."""
        ...


class LeaseTaker(Protocol):
    """How a lease is taken; `take_lease` is the real one."""

    def __call__(
        self, shell: Shell, root: str | None, cluster: str, command: str
    ) -> AbstractAsyncContextManager[Lease]: ...


def operator() -> str:
    """`user@host`, for journals and for the loser of a race."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


class HeldLease:
    """The real lease. One task owns the stream to `lease_on_node.py`, so that a cancelled caller cannot break it."""

    def __init__(
        self,
        epoch: int,
        applied: Applied | None,
        stream: Stream,
        answers: AsyncIterator[bytes],
        holds: HoldRecord | None = None,
        node: str = "the lease node",
    ) -> None:
        self.epoch = epoch
        self.applied = applied
        self.holds = holds or HoldRecord()
        self._stream = stream
        self._answers = answers
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._node = node
        self._outbox: asyncio.Queue[tuple[dict[str, Any], asyncio.Future[None]]] = asyncio.Queue()

    def lost(self) -> asyncio.Future[str]:
        return self._lost

    async def journal(self, entry: Mapping[str, Any]) -> None:
        await self._say({"journal": dict(entry)})

    async def record(self, applied: Applied) -> None:
        known = {name: value for name, value in asdict(applied).items() if name != "trouble"}
        await self._say({"applied": known})

    async def record_holds(self, holds: Sequence[Hold]) -> None:
        await self._say({"holds": record_of(holds)})

    async def _say(self, message: dict[str, Any]) -> None:
        if self._lost.done():
            raise LeaseHeld(f"the lease was lost while this run worked: {self._lost.result()}", hint=_LOST_HINT)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outbox.put_nowait((message, done))
        await asyncio.shield(done)

    async def pump(self) -> None:
        """Send all that is queued at once, or a heartbeat; no answer in time: it is lost."""
        number = 0
        while True:
            batch = await self._batch()
            lines = [json.dumps({**message, "n": number + place}) for place, (message, _) in enumerate(batch, 1)]
            number += len(batch)
            waiting = [done for _, done in batch if done is not None]
            refused: dict[int, str] = {}
            try:
                await self._patiently(self._round_trip(lines, number, refused))
            except (PdctlError, TimeoutError, OSError, ValueError) as error:
                self._give_up(str(error) or "no answer from the lease node", waiting)
                return
            for line, (_, told) in enumerate(batch, number - len(batch) + 1):  # in order: so are events shown
                if told is not None and not told.done():
                    self._tell(told, refused.get(line, ""))

    def _tell(self, done: asyncio.Future[None], refused: str) -> None:
        """It was written, or the node says why not."""
        if refused:
            cause = f"its record of this cluster cannot be written: {refused.lower()}"
            done.set_exception(NodeError(self._node, cause, hint=_WRITE_HINT))
        else:
            done.set_result(None)

    async def _batch(self) -> list[tuple[dict[str, Any], asyncio.Future[None] | None]]:
        """What is queued, in order; a heartbeat where nothing came for its time."""
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                batch: list[tuple[dict[str, Any], asyncio.Future[None] | None]] = [await self._outbox.get()]
        except TimeoutError:
            return [({}, None)]
        while len(batch) < MOST_AT_ONCE and not self._outbox.empty():
            batch.append(self._outbox.get_nowait())
        return batch

    async def _patiently(self, round_trip: Coroutine[Any, Any, None]) -> None:
        """Await it for the patience, in several looks: time in which we were frozen ourselves is one of them at most.

        Raises TimeoutError.
        """
        under_way = asyncio.create_task(round_trip)
        try:
            for _ in range(_LOOKS):
                await asyncio.wait({under_way}, timeout=PATIENCE_S / _LOOKS)
                if under_way.done():
                    return under_way.result()
        finally:
            under_way.cancel()
            await asyncio.gather(under_way, return_exceptions=True)
        raise TimeoutError

    async def _round_trip(self, lines: list[str], number: int, refused: dict[int, str]) -> None:
        """`refused` gets, by number, why a line could not be written."""
        await self._stream.send(("\n".join(lines) + "\n").encode())
        async for line in self._answers:
            answer = json.loads(line)
            if "holder" in answer:
                raise _held(answer["holder"])
            if answer.get("failed"):
                refused[answer["ack"]] = str(answer["failed"])
            if answer.get("ack") == number:  # the node takes one line after the other
                return
        raise LeaseHeld("the lease program ended")

    def _give_up(self, reason: str, waiting: list[asyncio.Future[None]]) -> None:
        self._lost.set_result(reason)
        pending = list(waiting)
        while not self._outbox.empty():
            pending.append(self._outbox.get_nowait()[1])
        for done in pending:
            if not done.done():
                done.set_exception(LeaseHeld(f"the lease was lost while this run worked: {reason}", hint=_LOST_HINT))


def state_root(deployment: Deployment) -> str | None:
    """The directory on the nodes that holds `<cluster>/`; None is the login's own state directory."""
    by_process = deployment.engine.supervisor is SupervisorKind.PROCESS
    return deployment.state_dir or (None if by_process else SYSTEM_ROOT)


@asynccontextmanager
async def take_lease(shell: Shell, root: str | None, cluster: str, command: str) -> AsyncIterator[HeldLease]:
    """Hold the cluster's lease while the context lasts. `root`: the node's state directory, None the login's own.

    Raises LeaseHeld, naming the holder, if somebody else has it; NodeError's kinds if the node cannot be asked.
    """
    source = prelude() + resources.files("pdctl.control").joinpath("lease_on_node.py").read_text()
    hello = {
        "root": root,
        "cluster": cluster,
        "timeout_s": TIMEOUT_S,
        "holder": {"operator": operator(), "pid": os.getpid(), "command": command},
    }
    async with _program(shell) as stream:
        await stream.send((json.dumps(source) + "\n" + json.dumps(hello) + "\n").encode())
        answers = stream.lines().__aiter__()
        answer = await _first(answers, shell.node)
        if not answer["ok"]:
            raise _held(answer.get("holder") or {})
        holds = parse_holds(answer.get("holds"))
        lease = HeldLease(answer["epoch"], parse_applied(answer.get("applied")), stream, answers, holds, shell.node)
        pumping = asyncio.create_task(lease.pump())
        try:
            yield lease
        finally:
            pumping.cancel()
            with suppress(asyncio.CancelledError):
                await pumping


@asynccontextmanager
async def _program(shell: Shell) -> AsyncIterator[Stream]:
    """The lease's program on its node. Raises Unreachable with what that means: there is no way around it, since two
    operators who each go without a lease would each be sure to be alone."""
    entered = False
    try:
        async with shell.stream(["python3", "-c", _BOOT], watch_stdin=False) as stream:
            entered = True
            yield stream
    except Unreachable as error:
        if entered or type(error) is not Unreachable:
            raise
        cause = f"{error.cause}; it keeps the lease, without which nobody knows to be the only one at work"
        raise Unreachable(error.node, cause, hint=_UNREACHABLE_HINT) from error


async def _first(answers: AsyncIterator[bytes], node: str) -> dict[str, Any]:
    try:
        async with asyncio.timeout(30):
            async for line in answers:
                answer: dict[str, Any] = json.loads(line)
                return answer
    except TimeoutError:
        raise NodeError(node, "the lease program gave no answer in 30 s", hint="is the node overloaded?") from None
    except ValueError as error:
        raise NodeError(node, f"the lease program answered nonsense: {error}") from error
    raise NodeError(node, "the lease program ended at once", hint="python3 is needed on the node")


def _held(holder: Mapping[str, Any]) -> LeaseHeld:
    who = holder.get("operator", "another operator")
    return LeaseHeld(
        f"{who} (pid {holder.get('pid', '?')}) is running `pdctl {holder.get('command', '?')}` on this cluster",
        hint="wait for it to end; the lease is free as soon as that process is gone",
    )


def parse_applied(raw: object) -> Applied | None:
    """The record of the last applied inventory; None where nothing was ever applied, which a damaged record is not."""
    if raw is None:
        return None
    try:
        if not isinstance(raw, Mapping):
            raise TypeError("no mapping")
        launched = {str(name): tuple(map(str, found)) for name, found in raw.get("launched", {}).items()}
        return Applied(str(raw["digest"]), str(raw["author"]), float(raw["at"]), str(raw["text"]), launched=launched)
    except (AttributeError, KeyError, TypeError, ValueError):
        return Applied("", "?", 0.0, "", trouble="its record on the lease node is damaged")
