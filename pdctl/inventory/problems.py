"""A located problem of an inventory: what an operator reads, and what `validate --json` prints."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from pdctl.errors import InventoryError

_WINDOW = 140  # columns of a source line that are shown; a longer line is cut around the caret


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `line` and `col` count from 1; `where` is the dotted path of the key; `source` is the line it is on.

    `width` is how many characters of that line the mistake covers.
    """

    file: str
    line: int
    col: int
    where: str
    message: str
    hint: str = ""
    source: str = ""
    width: int = 1

    def render(self) -> str:
        """`file:line:col: path: message`, the source line, a caret below it, and the hint."""
        place = f"{self.where}: " if self.where else ""
        lines = [f"{self.file}:{self.line}:{self.col}: {place}{self.message}"]
        if self.source.strip():
            lines += self._excerpt()
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, str | int]:
        """The problem without its excerpt."""
        return {
            "file": self.file,
            "line": self.line,
            "col": self.col,
            "where": self.where,
            "message": self.message,
            "hint": self.hint,
        }

    def _excerpt(self) -> list[str]:
        column = min(self.col - 1, len(self.source))
        first = max(0, column - _WINDOW // 2) if len(self.source) > _WINDOW else 0
        shown = self.source[first : first + _WINDOW]
        before = shown[: column - first]
        carets = "^" * max(1, min(self.width, len(shown) - len(before)))
        return [f"    {_printable(shown)}", f"    {''.join(map(_blank, before))}{carets}"]


class InvalidInventory(InventoryError):
    """An inventory with problems. `located` are the problems themselves, in the order of the file."""

    def __init__(self, located: tuple[Problem, ...]) -> None:
        count = "1 problem" if len(located) == 1 else f"{len(located)} problems"
        super().__init__(
            f"{located[0].file}: {count}",
            problems=tuple(problem.render() for problem in located),
            hint="nothing was touched; correct the file and run `pdctl validate`",
        )
        self.located = located


def _printable(text: str) -> str:
    """`text` with what a terminal would act on replaced."""
    return "".join(char if char == "\t" or char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _blank(char: str) -> str:
    """White space as wide as `char`, so that the caret stands below its target."""
    if char == "\t":
        return "\t"
    return "  " if unicodedata.east_asian_width(char) in "WF" else " "
