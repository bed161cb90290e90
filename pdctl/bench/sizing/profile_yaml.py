"""A profile written as YAML (or JSON): sections, tables of rows, or widths with figures below them. Pure.

What a mapping says of a row (its model, shape, phase, width, concurrency) holds for all rows below it. A mapping that
has a throughput is a row; one whose values are lists of one length is a table of columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from pdctl.bench.sizing.cells import Cell, width_of
from pdctl.bench.sizing.columns import FIGURES, Column, column, phase_of, words_of
from pdctl.bench.sizing.points import Phase
from pdctl.bench.sizing.profile_csv import Table
from pdctl.bench.sizing.rows import Entry, RawRow, without_figures
from pdctl.inventory.document import Document, Loc
from pdctl.inventory.problems import Problem

_HOISTED: Final = ("model", "isl", "osl", "kv_bytes_per_token", "kv_bytes_per_s")
_WIDTH: Final = ("tp", "dp", "gpus")
_ROW_FIGURES: Final = (*FIGURES, "tpsu", "tpsg")


def read_document(document: Document) -> Table:
    """The rows of `document`; what is wrong with its form is in `problems`."""
    walk = _Walk(document)
    flaws = [document.problem(flaw.path, flaw.message, flaw.hint, node=flaw.node) for flaw in document.flaws]
    if isinstance(document.data, dict | list):
        walk.below(document.data, (), (), None)
    else:
        hint = "a profile is a mapping with `prefill:` and `decode:`; `pdctl bench match --help` shows the format"
        flaws.append(document.problem((), "holds no mapping and no list", hint))
    return Table(tuple(walk.rows), tuple(walk.common), tuple(dict.fromkeys(walk.ignored)), (*flaws, *walk.problems))


class _Walk:
    """Goes through the text once, from the top down, and gathers rows."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.rows: list[RawRow] = []
        self.common: list[Entry] = []
        self.ignored: list[str] = []
        self.problems: list[Problem] = []

    def below(self, value: object, loc: Loc, inherited: tuple[Entry, ...], phase: Phase | None) -> None:
        """Rows of a mapping or a list at `loc`."""
        if isinstance(value, list):
            for at, item in enumerate(value):
                if isinstance(item, dict | list):
                    self.below(item, (*loc, at), inherited, phase)
                else:
                    self._refuse((*loc, at))
        elif isinstance(value, dict):
            self._mapping(value, loc, inherited, phase)

    def _mapping(
        self, value: Mapping[str, object], loc: Loc, inherited: tuple[Entry, ...], phase: Phase | None
    ) -> None:
        own, columns, deeper = list[Entry](), list[list[Entry]](), list[tuple[str, object]]()
        known = {each.column.means for each in inherited}
        for key, item in value.items():
            what = self._meaning(key, known | {each.column.means for each in own} | set(map(_means, value)), phase)
            if isinstance(item, list) and what.means and not any(isinstance(each, dict | list) for each in item):
                columns.append([self._entry(what, key, each, (*loc, key, at)) for at, each in enumerate(item)])
            elif isinstance(item, dict | list):
                deeper.append((key, item))
            elif what.means:
                own.append(self._entry(what, key, item, (*loc, key)))
            else:
                self.ignored.append(key)
        own += [entry for key, item in deeper for entry in self._hoisted(key, item, (*loc, key))]
        if not loc:
            self.common += [each for each in own if each.column.means in _HOISTED]
        if columns or not deeper or any(each.column.means in _ROW_FIGURES for each in own):
            self._emit(loc, inherited, own, columns, phase)
        # A whole file's `gpus` are those of a fleet, not of each instance.
        passed_on = (*inherited, *(each for each in without_figures(own) if loc or each.column.means != "gpus"))
        for key, item in deeper:
            self._deeper(key, item, loc, passed_on, phase)

    def _emit(
        self,
        loc: Loc,
        inherited: tuple[Entry, ...],
        own: list[Entry],
        columns: list[list[Entry]],
        phase: Phase | None,
    ) -> None:
        """The row that a mapping is, or the rows of its columns."""
        if columns:
            if len({len(each) for each in columns}) > 1:
                self.problems.append(self._problem(loc, "lists of different lengths", "one value of each list a row"))
                return
            for cells in zip(*columns, strict=True):
                self._row(loc, (*inherited, *own, *cells), phase)
        elif any(each.column.means in _ROW_FIGURES for each in own):
            self._row(loc, (*inherited, *own), phase)
        elif loc and isinstance(loc[-1], int):
            self._row(loc, (*inherited, *own), phase)  # an item of a list is meant to be one: say what it lacks

    def _deeper(self, key: str, item: object, loc: Loc, inherited: tuple[Entry, ...], phase: Phase | None) -> None:
        words = words_of(key)
        said = phase_of(key)
        rest = " ".join(word for word in words if phase_of(word) is None)
        place = (*loc, key)
        sizes = width_of(rest) if not any(each.column.means in ("tp", "width") for each in inherited) else None
        if sizes:
            cell = Cell(key, rest.replace(" ", ""), partial(self._problem, place))
            inherited = (*inherited, Entry(Column("width"), cell))
        elif words and words[-1].isdigit() and (len(words) == 1 or _means(" ".join(words[:-1])) == "concurrency"):
            cell = Cell(key, words[-1], partial(self._problem, place))
            inherited = (*inherited, Entry(Column("concurrency"), cell))
        self.below(item, place, inherited, said or phase)

    def _meaning(self, key: str, known: Iterable[str], phase: Phase | None) -> Column:
        """What a key means; a bare number is a width, or a concurrency where the width is known."""
        if not key.isdigit():
            return column(key)
        if "tp" in known or "width" in known or "gpus" in known:
            return Column("tok_s", phase, concurrency=int(key))
        return Column("tok_s", phase, width=f"tp{key}")

    def _hoisted(self, key: str, item: object, loc: Loc) -> Iterator[Entry]:
        """What a mapping such as `workload: {isl: …}`, `model: {name: …}` or `parallelism: {tensor: …}` says of what
        stands beside it."""
        if not isinstance(item, dict) or phase_of(key) or any(isinstance(each, dict | list) for each in item.values()):
            return
        if any(_means(name) in _ROW_FIGURES for name in item):
            return
        for name, value in item.items():
            means = "model" if _means(key) == "model" and name == "name" else _means(name)
            if means in _HOISTED or (_means(key) == "width" and means in _WIDTH):
                yield self._entry(Column(means), name, value, (*loc, name))

    def _row(self, loc: Loc, entries: tuple[Entry, ...], phase: Phase | None) -> None:
        line = self._problem(loc, "", "").line
        self.rows.append(RawRow(entries, partial(self._problem, loc), f"line {line}", phase))

    def _entry(self, what: Column, key: str, value: object, loc: Loc) -> Entry:
        return Entry(what, Cell(key, value, partial(self._problem, loc)))

    def _problem(self, loc: Loc, message: str, hint: str) -> Problem:
        return self.document.problem(loc, message, hint)

    def _refuse(self, loc: Loc) -> None:
        hint = "a row is a mapping: {tp: 2, concurrency: 4, tok_s: 730.9}"
        self.problems.append(self._problem(loc, "must be a row", hint))


def _means(name: str) -> str:
    return column(name).means
