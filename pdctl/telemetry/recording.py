"""Recordings: snapshots in one SQLite file, compressed and bounded, and read back by time.

The newest snapshots lie one by one, so that a crash costs nothing; sixty of them become a block. Blocks older than an
hour keep every tenth second. `blocks` says how they are packed.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pdctl.errors import UsageError
from pdctl.model.snapshot import SCHEMA, Snapshot, Source
from pdctl.telemetry.blocks import pack, unpack
from pdctl.telemetry.codec import from_json, to_json

FORMAT: Final = 1
_TABLES: Final = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tail (taken REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE block (first REAL NOT NULL, last REAL NOT NULL, count INTEGER NOT NULL, thin INTEGER NOT NULL,
                    times TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX block_first ON block (first);
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is kept: `fine_s` in full, then one snapshot every `coarse_s`; nothing older than `keep_s` or, oldest
    first, beyond `max_bytes`. `block`: snapshots that are packed together."""

    fine_s: float = 3600.0
    coarse_s: float = 10.0
    keep_s: float = 7 * 86_400.0
    max_bytes: int = 2 << 30
    block: int = 60


class Recorder:
    """Appends snapshots to a recording. Not for several writers of one file."""

    def __init__(self, path: Path, cluster: str, limits: Limits | None = None) -> None:
        """Raises UsageError for a file that is something else, or another cluster's recording."""
        self._limits = limits or Limits()
        self._base = _open(path, create=True)
        try:
            about = _about(self._base, path)
            if about.get("cluster", cluster) != cluster:
                raise UsageError(f"{path} is a recording of {about['cluster']}", hint="name another file")
            with self._base:
                self._base.execute("INSERT OR IGNORE INTO about VALUES ('cluster', ?)", (cluster,))
        except BaseException:
            self._base.close()
            raise

    def add(self, snapshot: Snapshot) -> None:
        """Append one; it is on disk when this returns."""
        with self._base:
            body = zlib.compress(to_json(snapshot), 1)
            self._base.execute("INSERT INTO tail VALUES (?, ?)", (snapshot.taken_s, body))
        if self._count("tail") >= self._limits.block:
            self._fold(snapshot.taken_s)

    def close(self) -> None:
        """Put the rest into a block, and close the file."""
        with closing(self._base):
            newest = self._base.execute("SELECT max(taken) FROM tail").fetchone()[0]
            if newest is not None:
                self._fold(newest)

    def _fold(self, now_s: float) -> None:
        rows = self._base.execute("SELECT taken, body FROM tail ORDER BY taken").fetchall()
        documents = [json.loads(zlib.decompress(body)) for _, body in rows]
        with self._base:
            self._base.execute("DELETE FROM tail")
            self._insert([taken for taken, _ in rows], documents, thin=False)
            self._thin(now_s - self._limits.fine_s)
            self._base.execute("DELETE FROM block WHERE last < ?", (now_s - self._limits.keep_s,))
            self._fit()
        self._base.executescript("PRAGMA incremental_vacuum")  # execute would step once, which frees one page

    def _insert(self, times: list[float], documents: list[Any], *, thin: bool) -> None:
        self._base.execute(
            "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)",
            (times[0], times[-1], len(times), int(thin), json.dumps(times), pack(documents)),
        )

    def _thin(self, before_s: float) -> None:
        """Of each ten fine blocks beyond the fine hour, make one coarse one."""
        old = self._base.execute(
            "SELECT rowid, count, times, body FROM block WHERE thin = 0 AND last < ? ORDER BY first", (before_s,)
        ).fetchall()
        if len(old) < self._limits.coarse_s:
            return
        times: list[float] = []
        documents: list[Any] = []
        for rowid, count, stamps, body in old:
            for taken, document in zip(json.loads(stamps), unpack(body, count), strict=True):
                if not times or taken - times[-1] >= self._limits.coarse_s - 0.5:
                    times.append(taken)
                    documents.append(document)
            self._base.execute("DELETE FROM block WHERE rowid = ?", (rowid,))
        size = self._limits.block
        for first in range(0, len(times), size):
            self._insert(times[first : first + size], documents[first : first + size], thin=True)

    def _fit(self) -> None:
        total = self._base.execute("SELECT coalesce(sum(length(body)), 0) FROM block").fetchone()[0]
        while total > self._limits.max_bytes:
            rowid, size = self._base.execute("SELECT rowid, length(body) FROM block ORDER BY first LIMIT 1").fetchone()
            self._base.execute("DELETE FROM block WHERE rowid = ?", (rowid,))
            total -= size

    def _count(self, table: str) -> int:
        return int(self._base.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 (a name of ours)


class Recording:
    """A recording to read, also while it is being written. What it gives is never marked as live."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError for a file that is no recording, or one of a newer pdctl."""
        self._base = _open(path, create=False)
        self.cluster = _about(self._base, path).get("cluster", "")
        self._blocks = self._base.execute("SELECT rowid, count, times FROM block ORDER BY first").fetchall()
        self._tail = self._base.execute("SELECT rowid, taken FROM tail ORDER BY taken").fetchall()
        self.times: tuple[float, ...] = (
            *(taken for _, _, times in self._blocks for taken in json.loads(times)),
            *(taken for _, taken in self._tail),
        )
        self._cached: tuple[int, list[Any]] = (-1, [])

    def __len__(self) -> int:
        return len(self.times)

    def at(self, taken_s: float) -> int:
        """The place of the last snapshot not after `taken_s` (wall clock); the first where all are."""
        return max(0, bisect_right(self.times, taken_s) - 1)

    def snapshot(self, place: int) -> Snapshot:
        """The snapshot at that place, 0 and up. Raises IndexError, and ValueError where the file is damaged."""
        if not 0 <= place < len(self.times):
            raise IndexError(place)
        return replace(from_json(json.dumps(self._document(place))), source=Source.RECORDING)

    def since(self, place: int = 0) -> Iterator[Snapshot]:
        """From a place to the end, in order."""
        return (self.snapshot(place) for place in range(place, len(self.times)))

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _document(self, place: int) -> Any:
        for number, (rowid, count, _) in enumerate(self._blocks):
            if place < count:
                if self._cached[0] != number:
                    body = self._base.execute("SELECT body FROM block WHERE rowid = ?", (rowid,)).fetchone()
                    if body is None:
                        raise ValueError("this part of the recording was thinned out meanwhile; open it again")
                    self._cached = (number, unpack(body[0], count))
                return self._cached[1][place]
            place -= count
        body = self._base.execute("SELECT body FROM tail WHERE rowid = ?", (self._tail[place][0],)).fetchone()
        if body is None:
            raise ValueError("this part of the recording was folded meanwhile; open it again")
        return json.loads(zlib.decompress(body[0]))


def _open(path: Path, *, create: bool) -> sqlite3.Connection:
    new = not path.exists()
    if new and not create:
        raise UsageError(f"{path} does not exist", hint="`pdctl watch --record FILE` makes one")
    try:
        base = sqlite3.connect(path if create else f"file:{path}?mode=ro", uri=not create, check_same_thread=False)
        if create:
            base.execute(
                "PRAGMA synchronous = NORMAL"
            )  # a crash of pdctl loses nothing; one of the machine a few ticks
    except sqlite3.Error as error:
        raise UsageError(f"{path} cannot be opened: {error}", hint="was it made by `pdctl watch --record`?") from error
    if new:
        base.execute("PRAGMA auto_vacuum = INCREMENTAL")
        base.execute("PRAGMA journal_mode = WAL")
        with base:
            base.executescript(_TABLES)
            base.execute("INSERT INTO about VALUES ('format', ?)", (str(FORMAT),))
            base.execute("INSERT INTO about VALUES ('snapshot_schema', ?)", (str(SCHEMA),))
    return base


def _about(base: sqlite3.Connection, path: Path) -> dict[str, str]:
    try:
        about = dict(base.execute("SELECT key, value FROM about").fetchall())
    except sqlite3.Error as error:
        raise UsageError(f"{path} is no recording: {error}", hint="was it made by `pdctl watch --record`?") from error
    if about.get("format") != str(FORMAT) or about.get("snapshot_schema") != str(SCHEMA):
        raise UsageError(f"{path} is a recording of another version of pdctl", hint="replay it with that version")
    return about
