"""The record of the inventory that was last applied, during one run: what it holds now, and how it is replaced."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pdctl.control.lease import Applied


class AppliedBook:
    """The newest record that this run knows of; None where nothing was ever applied, or that cannot be read."""

    def __init__(self, applied: Applied | None, write: Callable[[Applied], Awaitable[None]]) -> None:
        self.now = None if applied is not None and applied.trouble else applied
        self._write = write
        self._sure = True

    async def put(self, applied: Applied) -> None:
        """Write it, if it says something new. Raises NodeError's kinds, LeaseHeld once the lease is lost."""
        if self._sure and applied == self.now:
            return
        self._sure = False  # whether a write that fails was done is not known
        await self._write(applied)
        self.now, self._sure = applied, True
