"""One row of a profile, wherever it was written -> points. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from pdctl.bench.sizing.cells import Cell, Unread, width_of
from pdctl.bench.sizing.columns import DERIVED, FIGURES, Column, phase_of
from pdctl.bench.sizing.points import AggregatedPoint, Claim, DecodePoint, Latency, Phase, PrefillPoint, Width
from pdctl.inventory.problems import Problem

_STRICTEST_FIRST: Final = ("p99", "p95", "p90", "", "mean", "median")
_T = TypeVar("_T")
_CLAIMS: Final = {"demand": "prefill_demand_tok_s"}


@dataclass(frozen=True, slots=True)
class Entry:
    column: Column
    cell: Cell


@dataclass(frozen=True, slots=True)
class RawRow:
    """`entries`: the row's own last, after what it inherits. `phase`: that of the section it stands in.
    `complain(message, hint)` locates a problem at the row; `place` names it: `line 7`."""

    entries: tuple[Entry, ...]
    complain: Callable[[str, str], Problem]
    place: str
    phase: Phase | None = None

    def get(self, means: str, phase: Phase | None = None) -> Entry | None:
        """The last entry that means it and may belong to `phase`; what is said of the phase itself goes first."""
        found = [each for each in self.entries if each.column.means == means and not each.cell.empty]
        own = [each for each in found if each.column.phase is phase and phase is not None]
        free = [each for each in found if each.column.phase is None]
        fitting = own or free
        return fitting[-1] if fitting else None


Point = PrefillPoint | DecodePoint | AggregatedPoint


@dataclass(frozen=True, slots=True)
class Shaped:
    """A point with the model and the shape that it was measured with, as far as the row says."""

    point: Point
    model: str
    isl: int | None
    osl: int | None
    row: RawRow


def points_of(row: RawRow) -> Iterator[Shaped]:
    """Every point of the row: one, or one of each phase, width and concurrency that its columns' names say.

    Raises Unread with everything that is wrong with it.
    """
    figures = [each for each in row.entries if each.column.means in FIGURES and not each.cell.empty]
    groups: dict[tuple[Phase | None, str, int | None], list[Entry]] = {}
    for each in figures:
        groups.setdefault((each.column.phase, each.column.width, each.column.concurrency), []).append(each)
    wrong: list[Problem] = []
    made: list[Shaped] = []
    for (phase, width, concurrency), found in groups.items() or {(None, "", None): []}.items():
        try:
            made.append(_point(row, phase or _phase(row), found, width, concurrency))
        except Unread as error:
            wrong += error.problems
    if wrong:
        raise Unread(*wrong)
    yield from made


def _phase(row: RawRow) -> Phase:
    said = row.get("phase")
    phase = phase_of(said.cell.text) if said else None
    if said and phase is None and row.phase is None:
        hint = "prefill, decode or aggregated"
        raise Unread(said.cell.complain(f"{said.cell.text!r} is no phase", hint))
    osl = row.get("osl")
    found = phase or row.phase or (Phase.PREFILL if osl and osl.cell.tokens() == 1 else None)
    if found is None:
        hint = "put it below `prefill:` or `decode:`, add a column `phase`, or name the column `decode_tok_s`"
        raise Unread(row.complain("which phase was measured is not said", hint))
    return found


class _Wrong:
    """Reads one thing after another, and keeps what was wrong with each."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def read(self, reading: Callable[[], _T]) -> _T | None:
        try:
            return reading()
        except Unread as error:
            self.problems += error.problems
            return None


def _point(row: RawRow, phase: Phase, figures: Sequence[Entry], width_text: str, concurrency: int | None) -> Shaped:
    wrong = _Wrong()
    isl, osl = (wrong.read(entry.cell.tokens) if (entry := row.get(means, phase)) else None for means in ("isl", "osl"))
    width = wrong.read(lambda: _width(row, phase, width_text))
    users = float(concurrency) if concurrency else wrong.read(lambda: _users(row, phase))
    tps = wrong.read(lambda: _tps(row, phase, figures, width or Width(1, 1, 1), (isl, osl, users)))
    ttft, tpot, itl = (wrong.read(partial(_latency, row, means, phase)) for means in ("ttft", "tpot", "itl"))
    if wrong.problems or width is None or tps is None:
        raise Unread(*wrong.problems)
    model, source = row.get("model"), row.get("source", phase)
    raw = source.cell.text if source else ""
    point: Point
    if phase is Phase.PREFILL:
        point = PrefillPoint(width, tps, users, ttft, raw)
    elif phase is Phase.DECODE:
        point = DecodePoint(width, tps, users or 1.0, tpot, itl, raw, _claim(row))
    else:
        point = AggregatedPoint(width, tps, users or 1.0, ttft, tpot, itl, raw)
    return Shaped(point, model.cell.text if model else "", isl, osl, row)


def _users(row: RawRow, phase: Phase) -> float | None:
    at = row.get("concurrency", phase)
    if at is None and phase is not Phase.PREFILL:
        hint = "add a column `concurrency`: requests in flight"
        raise Unread(row.complain(f"a {phase} row has no concurrency", hint))
    return at.cell.number() if at else None


def _width(row: RawRow, phase: Phase, text: str) -> Width:
    tp, dp, gpus = (row.get(means, phase) for means in ("tp", "dp", "gpus"))
    words = row.get("width", phase)
    many = gpus.cell.whole() if gpus else None
    if text:
        sizes = width_of(text)
        assert sizes is not None
    elif tp or dp:
        named = tp.cell.width() if tp else (1, 1, None)
        sizes = (named[0], dp.cell.whole() if dp else named[1], named[2])
    elif words:
        sizes = words.cell.width()
    elif many:
        sizes = (many, 1, None)
    else:
        raise Unread(row.complain("how wide the instance is is not said", "add a column `tp` (and `dp`), or `gpus`"))
    across = sizes[0] * sizes[1]
    if gpus and many and many % across:
        hint = "gpus are those of one instance: tp x dp, or a multiple of it"
        raise Unread(gpus.cell.complain(f"{many} GPUs cannot hold TP {sizes[0]} x DP {sizes[1]}", hint))
    return Width(many or sizes[2] or across, sizes[0], sizes[1])


def _tps(
    row: RawRow,
    phase: Phase,
    figures: Sequence[Entry],
    width: Width,
    shape: tuple[int | None, int | None, float | None],
) -> float:
    """The phase's own throughput: total tokens of a prefill, output tokens of what decodes."""
    isl, osl, users = shape
    prefill = phase is Phase.PREFILL
    for means in ("total", "tok_s", "input") if prefill else ("output", "tok_s"):
        entry = next((each for each in reversed(figures) if each.column.means == means), None)
        if entry:
            return entry.cell.number() * (width.gpus if entry.column.per_gpu else 1)
    requests, tokens = next((each for each in figures if each.column.means == "req_s"), None), isl if prefill else osl
    if requests and tokens:
        return requests.cell.number() * tokens
    if not _claims(row):
        tpsu, tpsg = row.get("tpsu", phase), row.get("tpsg", phase)
        if tpsu and users:
            return tpsu.cell.number() * users
        if tpsg:
            return tpsg.cell.number() * width.gpus
    wanted = "total_tok_s (prompt tokens a second, with OSL 1)" if prefill else "output_tok_s"
    wrong = f"; {figures[0].cell.column!r} is not it" if figures else ""
    raise Unread(row.complain(f"a {phase} row has no throughput{wrong}", f"add a column `{wanted}`"))


def _latency(row: RawRow, means: str, phase: Phase) -> Latency | None:
    """The strictest statistic that is given."""
    found = [
        each
        for each in row.entries
        if each.column.means == means and each.column.phase in (None, phase) and not each.cell.empty
    ]
    if not found:
        return None
    entry = min(found, key=lambda each: _STRICTEST_FIRST.index(each.column.of))
    return Latency(entry.cell.seconds(entry.column.unit_s), entry.column.of)


def _claims(row: RawRow) -> bool:
    """Whether the row says what it matches to: a TPSG beside it is then one of prefill and decode together."""
    return any(each.column.means in ("best_p_gpus", "total_gpus", "p_gpus") for each in row.entries)


def _claim(row: RawRow) -> Claim | None:
    if not _claims(row):
        return None
    stated: dict[str, str] = {}
    for each in row.entries:
        if each.column.means in DERIVED and not each.cell.empty:
            each.cell.number()
            name = f"p_gpus_{each.column.width}" if each.column.width else each.column.means
            stated[_CLAIMS.get(name, name)] = each.cell.text
    return Claim(stated, row.place)


def without_figures(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """What rows below may inherit."""
    passed_on = (each for each in entries if each.column.means not in (*FIGURES, *DERIVED))
    return tuple(replace(each) for each in passed_on)
