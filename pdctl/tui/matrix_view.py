"""The prefill x decode pairs as a matrix: how long each hands over, which fail, and which nobody has tried. Pure."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from pdctl.model.figure import Figure
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.model.snapshot import PairFigures, PairState, Snapshot
from pdctl.text.duration import duration
from pdctl.text.figures import seconds
from pdctl.tui.levels import Level, glyph, of_pair
from pdctl.tui.spans import Ink, of_heat, of_level

HEAT_EDGES: Final = (0.8, 1.25, 1.6, 2.0, 3.0)
"""Hand-off times as multiples of the middle pair's: an outlier is to stand out, whatever the model and the network."""
HEAT_SIGNS: Final = "▁▂▃▅▆█"
UNTRIED_SIGN: Final = "·"
ROUND_S: Final = 60.0
"""How long an asked-for round stands before the telemetry's own canaries, which go on."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One pair: a sign that tells its state without colour, its ink, and its time in words ("" where none is known)."""

    pair: PairFigures
    sign: str
    ink: Ink
    text: str


class Cells(Mapping[tuple[str, str], Cell]):
    """Every pair by (prefill, decode). Few of thousands were tried, and fewer are seen: the rest is made on demand."""

    def __init__(
        self, prefills: tuple[str, ...], decodes: tuple[str, ...], tried: Mapping[tuple[str, str], Cell]
    ) -> None:
        self.tried = tried
        self._prefills, self._decodes = dict.fromkeys(prefills), dict.fromkeys(decodes)

    def __getitem__(self, key: tuple[str, str]) -> Cell:
        prefill, decode = key
        if prefill not in self._prefills or decode not in self._decodes:
            raise KeyError(key)
        return self.tried.get(key) or _cell(_untried(prefill, decode), None)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return product(self._prefills, self._decodes)

    def __len__(self) -> int:
        return len(self._prefills) * len(self._decodes)


@dataclass(frozen=True, slots=True)
class MatrixView:
    """Names in the order of the inventory; `cells` by (prefill, decode), every pair there. `middle_s`: the median of
    the times that are known."""

    prefills: tuple[str, ...]
    decodes: tuple[str, ...]
    cells: Cells
    counts: Mapping[PairState, int]
    middle_s: float | None
    slowest: Cell | None

    @property
    def empty(self) -> bool:
        return not self.prefills or not self.decodes


@dataclass(frozen=True, slots=True)
class Round:
    """What a round of canaries came to that the operator asked for, when (wall clock), and of which launches."""

    pairs: tuple[PairFigures, ...]
    at_s: float
    generations: Mapping[str, int]

    def now(self, snapshot: Snapshot) -> Iterator[PairFigures]:
        """Those results that are still about the present launches, as old as they are, for `ROUND_S`."""
        age_s = max(0.0, snapshot.taken_s - self.at_s)
        if age_s > ROUND_S:
            return
        present = generations(snapshot)
        for pair in self.pairs:
            if all(present.get(name) == self.generations.get(name) for name in (pair.prefill, pair.decode)):
                time = pair.handoff_s
                yield (
                    pair
                    if isinstance(time, Unknown)
                    else replace(pair, handoff_s=replace(time, age_s=time.age_s + age_s))
                )


def generations(snapshot: Snapshot) -> dict[str, int]:
    """Which launch of each instance runs."""
    return {instance.name: instance.generation for instance in snapshot.instances.values()}


def matrix(snapshot: Snapshot, asked: Round | None = None) -> MatrixView:
    """`asked`: a round that the operator asked for; for a while its results stand before those of the snapshot."""
    known = {(pair.prefill, pair.decode): pair for pair in snapshot.pairs}
    if asked is not None:
        known |= {(pair.prefill, pair.decode): pair for pair in asked.now(snapshot)}
    prefills, decodes = _names(snapshot, Role.PREFILL, known, 0), _names(snapshot, Role.DECODE, known, 1)
    times = [pair.handoff_s.middle for pair in known.values() if isinstance(pair.handoff_s, Figure)]
    middle_s = statistics.median(times) if times else None
    cells = Cells(prefills, decodes, {key: _cell(pair, middle_s) for key, pair in known.items()})
    timed = [cell for cell in cells.tried.values() if isinstance(cell.pair.handoff_s, Figure)]
    counts = Counter(pair.state for pair in known.values())
    if untried := len(cells) - len(known):
        counts[PairState.UNTRIED] += untried
    return MatrixView(prefills, decodes, cells, counts, middle_s, max(timed, key=_time, default=None))


def _names(snapshot: Snapshot, role: Role, known: Mapping[tuple[str, str], PairFigures], side: int) -> tuple[str, ...]:
    """Instances of the role, and whoever else was tried."""
    names = [instance.name for instance in snapshot.instances.values() if instance.role is role]
    return tuple(dict.fromkeys([*names, *(key[side] for key in known)]))


def _untried(prefill: str, decode: str) -> PairFigures:
    why = "no canary was sent through it: both have to be members"
    return PairFigures(prefill, decode, PairState.UNTRIED, Unknown(why), 0, 0, why)


def _time(cell: Cell) -> float:
    return cell.pair.handoff_s.middle if isinstance(cell.pair.handoff_s, Figure) else 0.0


def _cell(pair: PairFigures, middle_s: float | None) -> Cell:
    level = of_pair(pair.state)
    time = seconds(pair.handoff_s) if isinstance(pair.handoff_s, Figure) else ""
    if pair.state is PairState.OK and isinstance(pair.handoff_s, Figure):
        step = heat(pair.handoff_s.middle, middle_s)
        return Cell(pair, HEAT_SIGNS[step], of_heat(step), time)
    if pair.state is PairState.UNTRIED:
        return Cell(pair, UNTRIED_SIGN, Ink.DIM, "untried")
    return Cell(pair, glyph(level), of_level(level), time or pair.state.value)


def heat(value_s: float, middle_s: float | None) -> int:
    """0..5, by how many times the median it is."""
    return bisect_right(HEAT_EDGES, value_s / middle_s) if middle_s else 1


def details(view: MatrixView, prefill: str, decode: str, launches: Mapping[str, int]) -> tuple[tuple[str, Ink], ...]:
    """What is known of one pair, a line each: state and time, tries, why, and how its row and its column do."""
    cell = view.cells.get((prefill, decode))
    if cell is None:
        return ()
    pair = cell.pair
    level = of_pair(pair.state)
    ends = f"{_launch(prefill, launches)} → {_launch(decode, launches)}"
    lines = [(ends, Ink.BOLD), (f"{glyph(level)} {_state(view, pair)}", of_level(level))]
    if pair.why and pair.state is not PairState.OK:
        lines.append((pair.why, of_level(level) if level is not Level.UNKNOWN else Ink.BASE))
    lines.append((f"{prefill} as prefill: {_side(view, 0, prefill)}", Ink.DIM))
    lines.append((f"{decode} as decode: {_side(view, 1, decode)}", Ink.DIM))
    return tuple(lines)


def _launch(name: str, launches: Mapping[str, int]) -> str:
    return f"{name} generation {launches[name]}" if name in launches else name


def _state(view: MatrixView, pair: PairFigures) -> str:
    tries = f"tried {pair.tried}, failed {pair.failures}" if pair.tried else "never tried"
    if isinstance(pair.handoff_s, Unknown):
        return f"{pair.state.value} · {tries}"
    times = f", {pair.handoff_s.middle / view.middle_s:.1f}x median" if view.middle_s else ""
    age = f"{duration(pair.handoff_s.age_s)} ago"
    return f"{pair.state.value} · canary {seconds(pair.handoff_s)} for both legs{times} · {age} · {tries}"


def _side(view: MatrixView, side: int, name: str) -> str:
    """How one instance does with all opposite ones: whether it, or the pair, is to blame."""
    others = view.decodes if side == 0 else view.prefills
    cells = [view.cells[(name, other) if side == 0 else (other, name)] for other in others]
    counts = Counter(cell.pair.state for cell in cells)
    said = [f"{counts[state]} {state.value}" for state in PairState if counts[state]]
    slowest = max(cells, key=_time)
    return f"{', '.join(said)} of {len(cells)}" + (f", slowest {slowest.text}" if _time(slowest) else "")


def short_names(names: Sequence[str]) -> tuple[str, ...]:
    """Without the end that all have (`n1.main.0`, `n2.main.0`: `n1`, `n2`)."""
    split = [name.split(".") for name in names]
    while len(split) > 1 and all(len(parts) > 1 for parts in split) and len({parts[-1] for parts in split}) == 1:
        split = [parts[:-1] for parts in split]
    return tuple(".".join(parts) for parts in split)
