"""The filter of a table: `pool:decode ttft>800ms !ready`. Pure: a text becomes a test of rows, or a located error.

    word         the regular expression is found in any cell          n0[12]
    field:text   the regular expression is found in that field        pool:decode
    field>limit  also < >= <= = !=, with a unit: ms s m h, k M G T %  ttft>800ms  kv>=90%
    !term        the term does not match                              !ready  !pool:decode

Terms are joined by "and". Case does not matter. A figure that is not known matches no comparison.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pdctl.tui.columns import ColumnSpec, Value

R = TypeVar("R")

_TERM: Final = re.compile(r'(?:"[^"]*"?|[^\s"])+')
_FIELD: Final = re.compile(r"([A-Za-z_][\w/ -]*?)(>=|<=|!=|:|=|>|<)(.*)", re.DOTALL)
_LIMIT: Final = re.compile(r"([-+]?\d+(?:\.\d+)?|[-+]?\.\d+)([A-Za-z%µ]*)")
_UNITS: Final = {
    "": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "%": 0.01,
    "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "B": 1.0,
    "m": 60.0, "C": 1.0, "W": 1.0,
}  # fmt: skip
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip


class FilterError(ValueError):
    """A filter that cannot be read. `column` is the place of the mistake in the text, from 0."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.message, self.column = message, column


@dataclass(frozen=True, slots=True)
class Term:
    """One term. `field` "": any cell. `compare` "" or ":": `pattern` is searched; else the value is compared."""

    field: str
    compare: str
    pattern: re.Pattern[str] | None
    limit: float | None
    negated: bool


@dataclass(frozen=True, slots=True)
class RowFilter(Generic[R]):
    """Terms that a row has to match, all of them."""

    text: str
    terms: tuple[Term, ...]
    columns: Mapping[str, ColumnSpec[R]]

    def __call__(self, row: R) -> bool:
        return all(self._matches(term, row) != term.negated for term in self.terms)

    def _matches(self, term: Term, row: R) -> bool:
        if not term.field:
            assert term.pattern is not None
            return any(term.pattern.search(_words(column, row)) for column in self.columns.values())
        column = self.columns[term.field]
        if term.limit is not None:
            value = column.value(row)
            if isinstance(value, str) or value is None:
                return False
            if term.compare in _COMPARE:
                return _COMPARE[term.compare](float(value), term.limit)
            return abs(float(value) - term.limit) <= 1e-9 + 1e-6 * abs(term.limit)
        assert term.pattern is not None
        text = _words(column, row)
        return bool(term.pattern.fullmatch(text) if term.compare == "=" else term.pattern.search(text))


def _words(column: ColumnSpec[R], row: R) -> str:
    value: Value = column.value(row)
    return value if isinstance(value, str) else column.text(row)


def parse_filter(text: str, columns: Sequence[ColumnSpec[R]]) -> RowFilter[R]:
    """The filter that `text` says. Raises FilterError at the first mistake."""
    by_name = {column.name.lower(): column for column in columns}
    terms = tuple(_term(found.group(), found.start(), by_name) for found in _TERM.finditer(text))
    return RowFilter(text, terms, by_name)


def _term(word: str, at: int, columns: Mapping[str, ColumnSpec[R]]) -> Term:
    negated = word.startswith("!")
    body, start = (word[1:], at + 1) if negated else (word, at)
    if not body:
        raise FilterError("`!` needs something to negate", at)
    if body.count('"') % 2:
        raise FilterError('a `"` is not closed', start + body.index('"'))
    found = _FIELD.fullmatch(body)
    if found is None:
        return Term("", "", _pattern(body, start), None, negated)
    field, compare, right = found.group(1).lower(), found.group(2), found.group(3)
    if field not in columns:
        known = ", ".join(columns)
        raise FilterError(f"there is no column {found.group(1)!r}; there are {known}", start)
    place = start + found.start(3)
    if not right:
        raise FilterError(f"`{found.group(1)}{compare}` needs a value", place)
    return _compared(field, compare, right, place, negated)


def _compared(field: str, compare: str, right: str, place: int, negated: bool) -> Term:
    limit = _limit(right)
    if compare in _COMPARE:
        if limit is None:
            raise FilterError(f"{right!r} is no figure: 800ms, 1.5s, 90%, 20k", place)
        return Term(field, compare, None, limit, negated)
    if compare == "!=":
        compare, negated = "=", not negated
    if compare == "=" and limit is not None:
        return Term(field, compare, None, limit, negated)
    return Term(field, compare, _pattern(right, place), None, negated)


def _limit(text: str) -> float | None:
    found = _LIMIT.fullmatch(text)
    if found is None or found.group(2) not in _UNITS:
        return None
    return float(found.group(1)) * _UNITS[found.group(2)]


def _pattern(text: str, at: int) -> re.Pattern[str]:
    bare = text.replace('"', "")
    try:
        return re.compile(bare, re.IGNORECASE)
    except re.error as error:
        raise FilterError(f"{bare!r} is no regular expression: {error.msg}", at + (error.pos or 0)) from None
    except (OverflowError, RecursionError):
        raise FilterError(f"{bare!r} is no regular expression", at) from None
