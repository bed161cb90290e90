"""The files of one point: what was asked, its rows, its stretches, and its figures once it is done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pdctl.bench.figures.figures import Figures
from pdctl.bench.runs.atomic import unwritable, write_whole
from pdctl.bench.runs.definition import PointNote
from pdctl.bench.runs.meta import from_json, to_json
from pdctl.bench.runs.row_codec import StoredRow
from pdctl.bench.runs.row_file import RowFile, digest, mend, read_rows


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time during which a point was measured without a break. `offset_s`: seconds of the stretches before it.
    `took_s` None: it was killed; it then lasted as long as its rows say. `ended`: why, where it was not the end."""

    started: str
    offset_s: float
    took_s: float | None = None
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Stretches:
    """`stretches.json`."""

    stretches: tuple[Stretch, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """`done.json`: the point is measured, and these are the figures of exactly the rows with that digest.
    `lag_p99_s`: how late the client was in the last stretch. `failures`: the commonest causes, each with its count."""

    figures: Figures
    requests: int
    rows: int
    rows_sha256: str
    finished: str
    stretches: int = 1
    lag_p99_s: float | None = None
    failures: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PointFiles:
    """`directory`: the point's own. What writes raises BenchError where that cannot be done."""

    directory: Path

    @property
    def rows_path(self) -> Path:
        return self.directory / "rows.jsonl"

    def begin(self, note: PointNote) -> None:
        """Write `point.json`."""
        write_whole(self.directory / "point.json", to_json(note))

    def note(self) -> PointNote:
        """Raises BenchError where the point was never begun."""
        return from_json(PointNote, self.directory / "point.json")

    def done(self) -> Done | None:
        """The figures; None of a point that is not (wholly) measured, or whose rows are not those any more."""
        path = self.directory / "done.json"
        if not path.exists():
            return None
        found = from_json(Done, path)
        return found if found.rows_sha256 == digest(self.rows_path) else None

    def finish(self, done: Done, raw: Mapping[str, Any]) -> None:
        """Write `raw.json`, if there is something to keep, and then `done.json`."""
        if raw:
            write_whole(self.directory / "raw.json", json.dumps(raw, indent=1, default=str) + "\n")
        write_whole(self.directory / "done.json", to_json(done))

    def rows(self) -> Iterator[StoredRow]:
        """Lazily; none where nothing was measured yet."""
        return read_rows(self.rows_path)

    def rows_sha256(self) -> str:
        return digest(self.rows_path)

    def appending(self, stretch: int) -> RowFile:
        """Rows of that stretch are added while the context lasts."""
        return RowFile(self.rows_path, stretch=stretch)

    def mend(self) -> bool:
        """Drop a torn last line; whether there was one."""
        try:
            return mend(self.rows_path)
        except OSError as error:
            raise unwritable(self.rows_path, error) from error

    def stretches(self) -> Sequence[Stretch]:
        path = self.directory / "stretches.json"
        return from_json(Stretches, path).stretches if path.exists() else ()

    def set_stretches(self, stretches: Sequence[Stretch]) -> None:
        write_whole(self.directory / "stretches.json", to_json(Stretches(tuple(stretches))))

    def end_stretch(self, took_s: float | None, ended: str = "") -> None:
        """The last stretch is over. None: it lasted as long as its rows say."""
        *before, last = self.stretches()
        self.set_stretches((*before, replace(last, took_s=took_s, ended=ended)))

    def put_aside(self) -> Path | None:
        """Keep what was measured so far as `rows.cut-N.jsonl` and begin anew. Returns that file, if there were rows."""
        number = 1
        while (aside := self.directory / f"rows.cut-{number}.jsonl").exists():
            number += 1
        try:
            for name in ("done.json", "stretches.json"):
                (self.directory / name).unlink(missing_ok=True)
            if not self.rows_path.exists() or not self.rows_path.stat().st_size:
                return None
            self.rows_path.replace(aside)
        except OSError as error:
            raise unwritable(self.directory, error) from error
        return aside
