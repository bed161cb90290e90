"""Write the inventory of a move, one slot after the other, and put a slot back into its old pool to the byte."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pdctl.control.base import BaseRecord
from pdctl.control.inventory_file import InventoryFile
from pdctl.control.lease import Applied, operator
from pdctl.control.move_edit import Edited, digest_of, with_pools
from pdctl.control.steps.context import RunContext
from pdctl.errors import PdctlError, PlanRefused
from pdctl.inventory.load import Inventory
from pdctl.plan.shift import Shift
from pdctl.plan.steps import Step


class Commits:
    """The file while a move runs: what was read, with the pools of the slots that are committed by now.

    The record of the last applied inventory on the lease node follows it, and so does this operator's base. Pending
    edits of the operator's are not in that record: a move does not apply them.
    """

    def __init__(self, edited: Edited, file: InventoryFile, base: BaseRecord) -> None:
        self._inventory: Inventory = edited.inventory
        self._shifts = {shift.name: shift for shift in edited.shifts}
        self._file = file
        self._base = base
        self._digest = edited.inventory.digest
        self._turn = asyncio.Lock()
        self._applied: Applied | None = None
        self.done: list[Shift] = []

    async def commit(self, ctx: RunContext, step: Step) -> Mapping[str, Any]:
        """Write the slot's new pool. Raises PlanRefused if the file is not what it was, and changes nothing then."""
        shift = self._shifts[step.subject]
        async with self._turn:
            await self._write([*self.done, shift])
            self.done.append(shift)
            await self._record(ctx)
        return {"pool": shift.to, "was": shift.origin, "inventory": str(self._inventory.path), "digest": self._digest}

    async def take_back(self, ctx: RunContext, step: Step) -> Mapping[str, Any]:
        """Write the file as if this slot had never been committed."""
        shift = self._shifts[step.subject]
        async with self._turn:
            kept = [each for each in self.done if each is not shift]
            if len(kept) < len(self.done):
                await self._write(kept)
                self.done = kept
                await self._record(ctx)
        return {"pool": shift.origin, "digest": self._digest}

    async def unchanged(self) -> None:
        """Raises PlanRefused if the file is not what was read."""
        if (await self._file.read()) != self._inventory.text.encode():
            raise PlanRefused(
                f"{self._inventory.path} was changed since it was read",
                hint="look at what changed and run the command again",
            )

    async def _write(self, shifts: list[Shift]) -> None:
        text = _text(self._inventory.text, shifts)
        try:
            await self._file.replace(self._digest, text)
        except PdctlError:
            if await self._file.read() != text.encode():
                raise
        self._digest = digest_of(text)

    async def _record(self, ctx: RunContext) -> None:
        """Where the file held edits that are not applied yet, the same words change in the text that was applied."""
        now = ctx.applied.now
        if now is None:
            return
        first = self._applied = self._applied or now
        at, author = ctx.clock.time(), operator()
        if first.digest == self._inventory.digest:
            text = _text(self._inventory.text, self.done)
        else:
            try:
                text = _text(first.text, self.done)
            except PlanRefused:
                return  # a slot that was never applied: the next `up` records the whole
        if text == first.text:
            at, author = first.at, first.author
        await ctx.applied.put(replace(now, digest=digest_of(text), author=author, at=at, text=text))
        self._base.write(digest_of(text))


def _text(text: str, shifts: list[Shift]) -> str:
    for shift in shifts:
        text = with_pools(text, shift.slots, shift.to)
    return text
