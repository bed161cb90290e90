"""The holds as they lie on the lease node: one small file, replaced as a whole by whoever has the lease.

`{"version": 1, "holds": [{"slot", "kind", "by", "reason", "since_s", "until_s"}, ...]}`. What cannot be read whole is
unknown as a whole: a hold that was overlooked would put a node that somebody works on back into service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pdctl.errors import PlanRefused
from pdctl.model.hold import Hold, HoldKind, Holds

VERSION: Final = 1
MEND_HINT: Final = (
    "`pdctl events` tells who held what; `pdctl undrain --forget-all` begins a new record, then hold anew what must be"
)


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """All holds, standing or not. `trouble`: why they are not known; there are none in it then."""

    holds: tuple[Hold, ...] = ()
    trouble: str = ""

    def at(self, now_s: float) -> Holds:
        """The same at a moment of the wall clock."""
        return Holds(trouble=self.trouble) if self.trouble else Holds.at(now_s, self.holds)


def parse_holds(raw: object) -> HoldRecord:
    """The record; no holds where there is none (None), which a damaged one is not."""
    if raw is None:
        return HoldRecord()
    try:
        if not isinstance(raw, Mapping) or raw["version"] != VERSION:
            raise TypeError("no record of holds")
        found = tuple(_hold(item) for item in raw["holds"])
    except (KeyError, TypeError, ValueError):
        return HoldRecord(trouble="their record on the lease node is damaged")
    return HoldRecord(found)


def record_of(holds: Iterable[Hold]) -> dict[str, Any]:
    """What `parse_holds` reads."""
    return {"version": VERSION, "holds": [{**asdict(hold), "kind": hold.kind.value} for hold in holds]}


def must_be_known(holds: Holds) -> None:
    """Raises PlanRefused where nobody can say what is held."""
    if holds.trouble:
        raise PlanRefused(f"which slots are held is not known: {holds.trouble}", hint=MEND_HINT)


def _hold(raw: Mapping[str, Any]) -> Hold:
    until_s = raw["until_s"]
    texts = [raw[name] for name in ("slot", "by", "reason")]
    times = [raw["since_s"], 0.0 if until_s is None else until_s]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("no text")
    if not all(isinstance(time, int | float) and not isinstance(time, bool) for time in times):
        raise TypeError("no time")
    slot, by, reason = texts
    until = None if until_s is None else float(until_s)
    return Hold(slot, HoldKind(raw["kind"]), by, reason, float(raw["since_s"]), until)


class HoldBook:
    """The holds during one run: every change is one write of the whole record, and changes that wait share one."""

    def __init__(self, holds: Iterable[Hold], write: Callable[[tuple[Hold, ...]], Awaitable[None]]) -> None:
        """`write` replaces the record; it raises where that is not known to have been done."""
        self._holds = {hold.slot: hold for hold in holds}
        self._write_all = write
        self._wanted = 0
        self._written = 0
        self._turn = asyncio.Lock()

    def get(self, slot: str) -> Hold | None:
        """The hold on that slot, standing or not."""
        return self._holds.get(slot)

    async def put(self, hold: Hold) -> None:
        """Hold a slot, in place of what held it before."""
        self._holds[hold.slot] = hold
        await self._write()

    async def drop(self, slots: Iterable[str]) -> None:
        """Take holds away. Without any on these slots nothing is written."""
        gone = [slot for slot in slots if slot in self._holds]
        for slot in gone:
            del self._holds[slot]
        if gone:
            await self._write()

    async def forget(self) -> None:
        """Begin a new record, with nothing held."""
        self._holds.clear()
        await self._write()

    async def _write(self) -> None:
        self._wanted += 1
        mine = self._wanted
        async with self._turn:
            if self._written >= mine:
                return
            covers = self._wanted
            await self._write_all(tuple(hold for _, hold in sorted(self._holds.items())))
            self._written = covers
