"""One value of a profile with the place where it was written, and its readings. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic_core import PydanticCustomError

from pdctl.inventory.problems import Problem
from pdctl.inventory.scalars import check_duration, show

_NUMBER: Final = re.compile(
    r"([-+]?(?:\d{1,3}(?:,\d{3})+|\d[\d_]*|(?=\.\d))(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*(k?)\s*(?:(?:tok(?:en)?s?|req)\s*/\s*s)?"
)
_WIDTH: Final = re.compile(
    r"(?:tp\s*[-=:]?\s*(?P<tp>\d+))?[\s,x*+_-]*(?:dp\s*[-=:]?\s*(?P<dp>\d+))?(?:[\s,x*+_-]*(?:ep\d*|g(?P<gpus>\d+)))?"
)
LONGEST_S: Final = 1000.0


class Unread(Exception):
    """Values that are not what their columns want. Carries the located problems."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(problems[0].message)
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Cell:
    """`column`: its name as written. `complain(message, hint)` locates a problem at it."""

    column: str
    value: object
    complain: Callable[[str, str], Problem]

    @property
    def empty(self) -> bool:
        return self.value is None or (isinstance(self.value, str) and self.value.strip().lower() in _EMPTY)

    @property
    def text(self) -> str:
        return str(self.value).strip()

    def number(self, kilo: int = 1000) -> float:
        """A number above 0: `37148`, `37,148`, `37.1k`, `37148 tok/s`. Raises Unread."""
        value = self.value
        written = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
        if written:
            value = float(written[1].replace(",", "").replace("_", "")) * (kilo if written[2] else 1)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unread(self.complain(f"must be a number, not {show(self.value)}", "")) from None
        if not 0 < value < 1e18:
            raise Unread(self.complain(f"must be more than 0, not {show(self.value)}", ""))
        return float(value)

    def tokens(self) -> int:
        """A length in tokens, where `4k` is 4096 as in the names of scenarios. Raises Unread."""
        return self.whole(kilo=1024)

    def whole(self, kilo: int = 1000) -> int:
        """A whole number from 1 on. Raises Unread."""
        number = self.number(kilo)
        if number != int(number):
            raise Unread(self.complain(f"must be a whole number, not {show(self.value)}", ""))
        return int(number)

    def seconds(self, unit_s: float | None) -> float:
        """A latency: of the column's own unit, or a text with one (300ms); a bare number is seconds. Raises Unread."""
        if unit_s is not None:
            return self.number() * unit_s
        try:
            value = self.number()
        except Unread:
            try:
                return check_duration(self.value)
            except PydanticCustomError as error:
                context = error.context or {}
                raise Unread(self.complain(str(context.get("text")), str(context.get("hint")))) from None
        if value > LONGEST_S:
            hint = f"name the column `{self.column}_ms`, or write {value:g}ms"
            raise Unread(self.complain(f"{value:g} without a unit is seconds, which cannot be", hint))
        return value

    def width(self) -> tuple[int, int, int | None]:
        """TP, DP and GPUs (None: not said) of `tp2`, `TP=1xDP=8`, `TP=8+EP` or `2`. Raises Unread."""
        found = width_of(self.text)
        if found is None:
            hint = "write tp2, TP=2, tp1dp8 or a number of GPUs"
            raise Unread(self.complain(f"must be a width, not {show(self.value)}", hint))
        return found


_EMPTY: Final = frozenset({"", "-", "n/a", "na", "nan", "none", "null", "~"})


def width_of(text: str) -> tuple[int, int, int | None] | None:
    """TP, DP and GPUs of a width in words, or None."""
    if text.strip().isdigit():
        return (int(text), 1, None) if int(text) > 0 else None
    match = _WIDTH.fullmatch(text.strip().lower())
    if match is None or not (match["tp"] or match["dp"]):
        return None
    tp, dp = int(match["tp"] or 1), int(match["dp"] or 1)
    return (tp, dp, int(match["gpus"]) if match["gpus"] else None) if tp > 0 and dp > 0 else None
