"""From a file to an inventory, or to everything that is wrong with the file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from pdctl.inventory.bridge import check
from pdctl.inventory.document import Document, Loc
from pdctl.inventory.problems import InvalidInventory, Problem
from pdctl.inventory.schema import InventorySpec


@dataclass(frozen=True, slots=True)
class Inventory:
    """A valid inventory. `path` is absolute; `digest` is the sha256 of the file's bytes, in hex."""

    spec: InventorySpec
    path: Path
    text: str = field(repr=False)
    digest: str
    document: Document = field(repr=False, compare=False)

    def problem(self, loc: Loc, message: str, hint: str = "") -> Problem:
        """A complaint about a place of this inventory that only a later step could find."""
        return self.document.problem(loc, message, hint)


_UNREADABLE = "`-i FILE` or PDCTL_INVENTORY names another; `pdctl init` writes one"


def load(path: Path) -> Inventory:
    """Read and check `path`. Raises InvalidInventory (exit 65) with every problem of the file."""
    return parse(content_of(path, _UNREADABLE), path)


def content_of(path: Path, hint: str) -> bytes:
    """The file's bytes. Raises InvalidInventory, with the hint, where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        cause = (error.strerror or type(error).__name__).lower()
        raise InvalidInventory((Problem(str(path), 1, 1, "", f"cannot be read: {cause}", hint),)) from None


def parse(content: bytes, path: Path) -> Inventory:
    """Check the bytes of an inventory that is, or would be, at `path`. Raises InvalidInventory."""
    text = text_of(content, path)
    document = Document(text.removeprefix("\ufeff"), str(path))
    spec, problems = check(document)
    if problems or spec is None:
        raise InvalidInventory(tuple(problems))
    return Inventory(spec, path.absolute(), text, hashlib.sha256(content).hexdigest(), document)


def text_of(content: bytes, path: Path) -> str:
    """The bytes as text. Raises InvalidInventory, located, where they are no UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = f"not UTF-8: byte 0x{content[error.start]:02x}"
        raise InvalidInventory((Problem(str(path), line, column, "", message, "save the file as UTF-8"),)) from None
