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


def load(path: Path) -> Inventory:
    """Read and check `path`. Raises InvalidInventory (exit 65) with every problem of the file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        cause = (error.strerror or type(error).__name__).lower()
        hint = "`-i FILE` or PDCTL_INVENTORY names another; `pdctl init` writes one"
        raise InvalidInventory((Problem(str(path), 1, 1, "", f"cannot be read: {cause}", hint),)) from None
    return parse(content, path)


def parse(content: bytes, path: Path) -> Inventory:
    """Check the bytes of an inventory that is, or would be, at `path`. Raises InvalidInventory."""
    file = str(path)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = f"not UTF-8: byte 0x{content[error.start]:02x}"
        raise InvalidInventory((Problem(file, line, column, "", message, "save the file as UTF-8"),)) from None
    document = Document(text.removeprefix("\ufeff"), file)
    spec, problems = check(document)
    if problems or spec is None:
        raise InvalidInventory(tuple(problems))
    return Inventory(spec, path.absolute(), text, hashlib.sha256(content).hexdigest(), document)
