"""From a file to the profiles that it holds, or to everything that is wrong with it, located."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pdctl.bench.sizing.cells import Unread
from pdctl.bench.sizing.points import AggregatedPoint, DecodePoint, Phase, PrefillPoint, Profile
from pdctl.bench.sizing.profile_csv import Table, read_table
from pdctl.bench.sizing.profile_yaml import read_document
from pdctl.bench.sizing.rows import Entry, Shaped, points_of
from pdctl.inventory.document import Document
from pdctl.inventory.load import content_of, text_of
from pdctl.inventory.problems import InvalidInventory, Problem

_FORMAT: Final = "`pdctl bench match --help` shows the format"
_DATA: Final = Path(__file__).parent / "data"
_YAML: Final = (".yaml", ".yml", ".json")


class InvalidProfile(InvalidInventory):
    """A profile with problems, located in its file (exit 65)."""

    def __init__(self, located: tuple[Problem, ...]) -> None:
        super().__init__(located)
        self.hint = f"correct the file; {_FORMAT}"


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says instead of, or beside, the file."""

    model: str = ""
    isl: int | None = None
    osl: int | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    model: str
    isl: int | None
    osl: int | None


def shipped() -> tuple[str, ...]:
    """The names of the profiles that come with pdctl."""
    return tuple(sorted(file.stem for file in _DATA.glob("*.yaml")))


def load_profiles(path: Path, overrides: Overrides = Overrides()) -> tuple[Profile, ...]:
    """Every profile of the file: one for each model and shape that it has decode points of. A bare name that is no
    file is one of those that come with pdctl.

    Raises InvalidProfile with every problem.
    """
    own = _DATA / f"{path}.yaml"
    if not path.exists() and path.name == str(path) and own.exists():
        path = own
    try:
        content = content_of(path, f"those that come with pdctl: {', '.join(shipped())}")
        return parse_profiles(text_of(content, path).removeprefix("\ufeff"), str(path), overrides)
    except InvalidInventory as error:
        raise InvalidProfile(error.located) from None


def parse_profiles(text: str, file: str, overrides: Overrides = Overrides()) -> tuple[Profile, ...]:
    """The profiles of a text. `file` names it, and tells YAML and JSON (`.yaml`, `.yml`, `.json`) from a table.

    Raises InvalidInventory with every problem.
    """
    if Path(file).suffix.lower() in _YAML or _looks_like_yaml(text):
        table = read_document(Document(text, file, empty=("the profile is empty", _FORMAT)))
    else:
        table = read_table(text, file)
    problems, shaped = list(table.problems), list[Shaped]()
    common = _Common(table.common, problems)
    lengths_known = not problems
    for row in table.rows:
        try:
            shaped += points_of(row)
        except Unread as error:
            problems += error.problems
    if not problems:
        problems += _missing(shaped, file, table)
    if lengths_known:
        problems += _unshaped(shaped, common, overrides)
    if problems:
        raise InvalidInventory(tuple(sorted(set(problems), key=lambda each: (each.line, each.col))))
    return tuple(_profiles(shaped, common, overrides, table))


def _looks_like_yaml(text: str) -> bool:
    """By its first line that is no comment: a table's has a delimiter and no `key:`."""
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    return first.rstrip().endswith(":") or first.startswith(("{", "[", "- ", "---")) or ": " in first.split(",")[0]


class _Common:
    """What the file says of all its rows."""

    def __init__(self, entries: Iterable[Entry], problems: list[Problem]) -> None:
        self.model, self.isl, self.osl = "", None, None
        self.kv_bytes_per_token: float | None = None
        self.kv_bytes_per_s: float | None = None
        for entry in entries:
            try:
                self._take(entry)
            except Unread as error:
                problems += error.problems

    isl: int | None
    osl: int | None

    def _take(self, entry: Entry) -> None:
        match entry.column.means:
            case "model":
                self.model = self.model or entry.cell.text
            case "isl":
                self.isl = self.isl or entry.cell.tokens()
            case "osl":
                self.osl = self.osl or entry.cell.tokens()
            case "kv_bytes_per_token":
                self.kv_bytes_per_token = entry.cell.number()
            case "kv_bytes_per_s":
                self.kv_bytes_per_s = entry.cell.number()


def _missing(shaped: Sequence[Shaped], file: str, table: Table) -> Iterator[Problem]:
    """The phases that have to be there and are not."""
    ignored = f"; ignored columns: {', '.join(table.ignored[:8])}" if table.ignored else ""
    points = [each.point for each in shaped]
    for kind, phase in ((PrefillPoint, Phase.PREFILL), (DecodePoint, Phase.DECODE)):
        if not any(isinstance(point, kind) for point in points):
            hint = f"{_FORMAT}{ignored}"
            if phase is Phase.PREFILL:
                hint = f"a comment may say them: `# prefill total tok/s: TP1 37148, TP2 53577`; {hint}"
            yield Problem(file, 1, 1, "", f"holds no {phase} throughput", hint)


def _unshaped(shaped: Sequence[Shaped], common: _Common, overrides: Overrides) -> Iterator[Problem]:
    """Rows whose lengths nobody says."""
    for each in shaped:
        if isinstance(each.point, PrefillPoint):
            continue
        for name, value in (
            ("isl", overrides.isl or each.isl or common.isl or _one_isl(shaped)),
            ("osl", overrides.osl or each.osl or common.osl),
        ):
            if not value:
                yield each.row.complain(f"{name.upper()} is not said", f"write `{name}: N` in the file, or --{name} N")


def _one_isl(shaped: Iterable[Shaped]) -> int | None:
    """The ISL of all prefill points, where they have one and the same."""
    lengths = {each.isl for each in shaped if isinstance(each.point, PrefillPoint)}
    return lengths.pop() if len(lengths) == 1 else None


def _profiles(shaped: Sequence[Shaped], common: _Common, overrides: Overrides, table: Table) -> Iterator[Profile]:
    def shape(each: Shaped) -> Shape:
        isl = each.isl or common.isl or _one_isl(shaped)
        return Shape(each.model or common.model, isl, each.osl or common.osl)

    shapes = list(dict.fromkeys(shape(each) for each in shaped if isinstance(each.point, DecodePoint)))
    for wanted in _chosen(shapes, overrides):
        here = _distinct(each for each in shaped if not isinstance(each.point, PrefillPoint) and shape(each) == wanted)
        reads = _feeding(shaped, wanted)
        yield Profile(
            overrides.model or wanted.model,
            overrides.isl or wanted.isl or 0,
            overrides.osl or wanted.osl or 0,
            reads,
            tuple(each.point for each in here if isinstance(each.point, DecodePoint)),
            tuple(each.point for each in here if isinstance(each.point, AggregatedPoint)),
            common.kv_bytes_per_token,
            common.kv_bytes_per_s,
            table.ignored,
        )


def _distinct(shaped: Iterable[Shaped]) -> Sequence[Shaped]:
    """A row that stands in the file twice, to the letter, is one measurement."""
    return tuple({repr(each.point): each for each in shaped}.values())


def _feeding(shaped: Iterable[Shaped], wanted: Shape) -> tuple[PrefillPoint, ...]:
    """Prefill of the same model and ISL; where a file has none of them, what it has."""
    reads = [(each, each.point) for each in shaped if isinstance(each.point, PrefillPoint)]
    reads = [pair for pair in reads if pair[0].model in ("", wanted.model)] or reads
    reads = [pair for pair in reads if pair[0].isl in (None, wanted.isl)] or reads
    return tuple(point for _, point in reads)


def _chosen(shapes: Sequence[Shape], overrides: Overrides) -> Sequence[Shape]:
    """The shapes that were asked for, where the file has them; else all, which the overrides then rename."""
    for name in ("model", "isl", "osl"):
        asked = getattr(overrides, name)
        shapes = [each for each in shapes if getattr(each, name) == asked] or shapes
    return shapes
