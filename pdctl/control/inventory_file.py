"""The inventory's file as an effect: read it, and replace it only while it is what was read."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from pdctl.errors import PlanRefused
from pdctl.inventory.edit import write_if_unchanged


class InventoryFile(Protocol):
    """Where the operator's inventory lies."""

    async def read(self) -> bytes:
        """What it holds now. Raises PlanRefused where it cannot be read."""
        ...

    async def replace(self, old_digest: str, text: str) -> str:
        """Write `text` in one step if the file still has `old_digest`; the new digest.

        Raises PlanRefused, and has written nothing then.
        """
        ...


class FileOnDisk:
    """The real one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise PlanRefused(f"{self._path} cannot be read: {error.strerror}") from None

    async def replace(self, old_digest: str, text: str) -> str:
        try:
            return write_if_unchanged(self._path, old_digest, text)
        except OSError as error:
            hint = "nothing was written: the slot stays in its pool"
            raise PlanRefused(f"{self._path} cannot be written: {error.strerror}", hint=hint) from None
