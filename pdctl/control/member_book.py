"""The list of members during one run: changes are merged, written whole, and awaited until the registrar says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping

from pdctl.control.clock import Clock
from pdctl.control.ports import Member, Membership
from pdctl.errors import InstanceError, NodeError
from pdctl.model.observed import MembershipSeen

FIRST_PAUSE_S = 0.06
"""The registrar looks at the list every 0.05 s, and tells the router at once where it is up."""
LAST_PAUSE_S = 0.25


class MemberBook:
    """Holds the members that this run wants; every change is one atomic write, and writes that wait are merged."""

    def __init__(
        self,
        membership: Membership,
        members: Mapping[str, Member],
        epoch: int,
        clock: Clock,
        *,
        stale: Iterable[str] = (),
        unreadable: NodeError | None = None,
    ) -> None:
        """`stale` names are in the file although they run no more; any write removes them. `unreadable`: why the file
        could not be read. It is not written then either, since that would drop the members that it holds."""
        self._membership = membership
        self._members = dict(members)
        self._stale = frozenset(stale)
        self._stale_left_at: float | None = None
        self._unreadable = unreadable
        self._epoch = epoch
        self._clock = clock
        self._wanted = 0
        self._written = 0
        self._turn = asyncio.Lock()
        self._look = asyncio.Lock()
        self._seen: tuple[float, MembershipSeen] | None = None

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._members)

    @property
    def listed(self) -> frozenset[str]:
        """The members, and those that the file names although they run no more."""
        return self.names | self._stale

    @property
    def stale_left_at(self) -> float | None:
        """When the file was first written without its stale names, by the run's clock; None if there were none."""
        return self._stale_left_at

    async def drop_stale(self) -> None:
        """Take what runs no more off the list now, and not with the next change.

        Does nothing where the list cannot be written now: the next change tries again, and says why not.
        """
        if self._stale:
            with contextlib.suppress(NodeError):
                await self._write()

    def get(self, name: str) -> Member | None:
        """The member of that name, if it is one."""
        return self._members.get(name)

    async def put(self, member: Member) -> None:
        """Add or replace one member and write the list. Raises NodeError's kinds; the old list then still stands."""
        await self.put_all((member,))

    async def put_all(self, members: Iterable[Member]) -> None:
        """Add or replace members, all with one write. Raises as `put` does."""
        self._members.update({member.name: member for member in members})
        await self._write()

    async def drop(self, names: Iterable[str]) -> None:
        """Remove members and write the list, if it changes."""
        gone = self.listed & frozenset(names)
        for name in gone:
            self._members.pop(name, None)
        if gone:
            await self._write()

    async def _write(self) -> None:
        if self._unreadable is not None:
            raise self._unreadable
        self._wanted += 1
        mine = self._wanted
        async with self._turn:
            if self._written >= mine:
                return
            covers = self._wanted
            await self._membership.replace(dict(self._members), epoch=self._epoch)
            if self._stale:
                self._stale_left_at = self._clock.monotonic()
            self._written, self._stale = covers, frozenset()

    async def until(
        self, accepted: Callable[[MembershipSeen], bool], what: str, deadline_s: float
    ) -> tuple[float, MembershipSeen]:
        """Wait until the registrar's word satisfies `accepted`; at the deadline InstanceError, with its last word.

        Returns that word, and a time by the run's clock that is not before it was read: ages in it count back from it.
        """
        end = self._clock.monotonic() + deadline_s
        trouble, pause_s = "", FIRST_PAUSE_S
        while True:
            try:
                seen = await self._recent(pause_s)
                if accepted(seen):
                    return self._clock.monotonic(), seen
                trouble = _words(seen)
            except (NodeError, InstanceError) as error:
                trouble = error.message
            if self._clock.monotonic() >= end:
                raise InstanceError(
                    "registrar",
                    f"{what} did not happen in {deadline_s:.0f} s: {trouble}",
                    hint="look at `pdctl logs registrar` and `pdctl logs router`",
                )
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    async def _recent(self, max_age_s: float) -> MembershipSeen:
        """One read serves all steps that wait at the same time."""
        asked = self._clock.monotonic()
        async with self._look:
            if self._seen is None or self._seen[0] < asked - max_age_s:
                began = self._clock.monotonic()
                self._seen = (began, await self._membership.seen())
            return self._seen[1]


def _words(seen: MembershipSeen) -> str:
    if not seen.router_reachable:
        return "the router's discovery port does not answer"
    waiting = [f"{member.name} ({member.why})" for member in seen.members.values() if not member.registered]
    return "not registered: " + ", ".join(waiting) if waiting else "the registrar has not taken up the new list"
