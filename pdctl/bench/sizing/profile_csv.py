"""A profile written as a table: CSV with a header, and what its comments say. Pure.

Comments may hold what the columns do not: `# prefill total tok/s at ISL 4096, OSL 1: TP1 37148, TP2 53577; decode TP2,
OSL 256`. What follows the name of a phase is of that phase, up to the next one's. In prefill's, a width followed by a
number is its throughput, and further lines that hold nothing else go on with it. In another's, a width is that of rows
that say none; with prefill in comments, rows that say no phase are of that other one.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from pdctl.bench.sizing.cells import Cell
from pdctl.bench.sizing.columns import FIGURES, Column, column, phase_of
from pdctl.bench.sizing.points import Phase
from pdctl.bench.sizing.rows import Entry, RawRow
from pdctl.inventory.problems import Problem

_WORTH: Final = re.compile(
    r"\bTP\s*=?\s*(\d+)(?:\s*x?\s*DP\s*=?\s*(\d+))?\s*[:= ]\s*(\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)", re.I
)
_WIDE: Final = re.compile(r"\bTP\s*=?\s*\d+(?:\s*x?\s*DP\s*=?\s*\d+)?", re.I)
_MORE: Final = re.compile(r"\s*#(?:[\s,;]*TP\s*=?\s*\d+(?:\s*x?\s*DP\s*=?\s*\d+)?\s*[:= ]\s*[\d,.]+[,;.]?)+\s*", re.I)
_LENGTH: Final = re.compile(r"\b(ISL|OSL)\s*[:=]?\s*(\d+)", re.I)
_PHASE: Final = re.compile(r"\b(?:prefill|decode|aggregated)\b", re.I)
_SAID: Final = re.compile(r"\s*([A-Za-z][\w ()/-]*?)\s*[:=]\s*(\S+)\s*")
_OF_ALL: Final = ("model", "isl", "osl", "kv_bytes_per_token", "kv_bytes_per_s")


@dataclass(frozen=True, slots=True)
class Table:
    """`common`: what comments say of all rows. `ignored`: names of columns that mean nothing here."""

    rows: tuple[RawRow, ...]
    common: tuple[Entry, ...]
    ignored: tuple[str, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    file: str
    number: int
    text: str

    def problem(self, col: int, width: int, where: str, message: str, hint: str) -> Problem:
        return Problem(self.file, self.number, col + 1, where, message, hint, self.text, max(1, width))

    def cell(self, name: str, value: str, start: int) -> Cell:
        return Cell(name, value, partial(self.problem, start, len(value), name))


def read_table(text: str, file: str) -> Table:
    """The rows of `text`; what is wrong with its form is in `problems`."""
    lines = [_Line(file, at, line) for at, line in enumerate(text.splitlines(), 1)]
    comments = [line for line in lines if line.text.lstrip().startswith("#")]
    body = [line for line in lines if line.text.strip(" ,;\t") and line not in comments]
    common, rows = list[Entry](), list[RawRow]()
    phase: Phase | None = None
    named: set[Phase] = set()
    for line in comments:
        phase = phase if _MORE.fullmatch(line.text) else None
        phase, lengths, worths = _comment(line, phase)
        common += lengths
        rows += worths
        if phase is not None and phase is not Phase.PREFILL:
            named.add(phase)
    unsaid = named.pop() if rows and len(named) == 1 else None
    if not body:
        problem = Problem(file, 1, 1, "", "holds no table", "`pdctl bench match --help` shows the format")
        return Table(tuple(rows), tuple(common), (), (problem,))
    delimiter = max(",;\t|", key=body[0].text.count)
    heads = _split(body[0].text, delimiter)
    names = [name for name, _ in heads]
    columns = [column(name) for name in names]
    problems = list(_header(body[0], heads, columns))
    for line in body[1:]:
        values = _split(line.text, delimiter)
        if len(values) > len(names):
            extra, start = values[len(names)]
            problems.append(line.problem(start, len(extra), "", f"{len(values)} values below {len(names)} names", ""))
        cells = [line.cell(name, value, at) for name, (value, at) in zip(names, values, strict=False)]
        own = (Entry(what, cell) for what, cell in zip(columns, cells, strict=False) if what.means)
        entries = (*(each for each in common if each.column.means == "width"), *own)
        rows.append(RawRow(entries, partial(line.problem, 0, len(line.text), ""), f"line {line.number}", unsaid))
    ignored = tuple(name for name, what in zip(names, columns, strict=True) if name and not what.means)
    return Table(tuple(rows), tuple(common), ignored, tuple(problems))


def _header(line: _Line, heads: list[tuple[str, int]], columns: list[Column]) -> Iterator[Problem]:
    """What is wrong with the names of the columns."""
    seen: set[str] = set()
    for name, start in heads:
        if name and name in seen:
            yield line.problem(start, len(name), "", f"the column {name!r} stands there twice", "")
        seen.add(name)
    if not any(what.means in (*FIGURES, "tpsu", "tpsg") for what in columns):
        hint = "name the columns phase, tp, concurrency, tok_s; `pdctl bench match --help` shows the format"
        yield line.problem(0, len(line.text), "", "no column of these is a throughput", hint)


def _split(text: str, delimiter: str) -> list[tuple[str, int]]:
    """The values of a line without their quotes, and where each begins."""
    found, position = list[tuple[str, int]](), 0
    for value in next(csv.reader([text], delimiter=delimiter, skipinitialspace=True), []):
        bare = value.strip()
        start = max(text.find(bare, position), position)
        found.append((bare, start))
        after = text.find(delimiter, start + len(bare))
        position = after + 1 if after >= 0 else len(text)
    return found


def _comment(line: _Line, phase: Phase | None) -> tuple[Phase | None, list[Entry], list[RawRow]]:
    """The phase that it ends in, what it says of all rows, and its rows. `phase`: that of the line above, if it goes
    on here."""
    common, rows = list[Entry](), list[RawRow]()
    body = line.text.lstrip()[1:]
    offset = len(line.text) - len(body)
    for clause in re.finditer(r"[^;]+", body):
        at = offset + clause.start()
        named = _PHASE.search(clause[0])
        phase = phase_of(named[0]) if named else phase
        lengths = [
            Entry(Column(found[1].lower()), line.cell(found[1], found[2], at + found.start(2)))
            for found in _LENGTH.finditer(clause[0])
            if not (found[1].lower() == "osl" and phase is Phase.PREFILL)
        ]
        common += lengths
        if named and phase is not Phase.PREFILL and (wide := _WIDE.search(clause[0])):
            common.append(Entry(Column("width", phase), line.cell(wide[0], wide[0], at + wide.start())))
        for found in _WORTH.finditer(clause[0]) if phase is Phase.PREFILL else ():
            width = f"tp{found[1]}" + (f"dp{found[2]}" if found[2] else "")
            figure = Entry(Column("tok_s", phase, width=width), line.cell(width, found[3], at + found.start(3)))
            complain = partial(line.problem, at + found.start(), len(found[0]), "")
            rows.append(RawRow((figure,), complain, f"line {line.number}", phase))
        said = _SAID.fullmatch(clause[0])
        if said and not lengths and column(said[1]).means in _OF_ALL:
            common.append(Entry(column(said[1]), line.cell(said[1], said[2], at + said.start(2))))
    return phase, common, rows
