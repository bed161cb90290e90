"""Recordings: snapshots in one SQLite file, compressed and bounded, and read back by time.

The newest snapshots lie one by one, so that a crash costs nothing; sixty of them become a block. Blocks older than an
hour keep every tenth second. `blocks` says how they are packed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
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
    """Appends snapshots to a recording; a file has one writer at a time."""

    def __init__(self, path: Path, cluster: str, limits: Limits | None = None) -> None:
        """Raises UsageError for a file that is something else, that is another cluster's recording, that cannot be
        written, or that another process writes."""
        self._limits = limits or Limits()
        self._path = path
        self._lock = _only_writer(path)
        try:
            self._base = _open(path, create=True)
        except BaseException:
            os.close(self._lock)
            raise
        try:
            about = _about(self._base, path)
            if about.get("cluster", cluster) != cluster:
                raise UsageError(f"{path} is a recording of {about['cluster']}", hint="name another file")
            with self._base:
                self._base.execute("INSERT OR IGNORE INTO about VALUES ('cluster', ?)", (cluster,))
        except BaseException as error:
            self._base.close()
            os.close(self._lock)
            if isinstance(error, sqlite3.Error):
                raise _unwritable(path, error) from error
            raise

    def add(self, snapshot: Snapshot) -> None:
        """Append one; a crash of pdctl does not lose it any more when this returns. Raises UsageError where the file
        cannot be written (a full disk)."""
        body = zlib.compress(to_json(snapshot), 1)
        try:
            with self._base:
                self._base.execute("INSERT INTO tail VALUES (?, ?)", (snapshot.taken_s, body))
            if self._count("tail") >= self._limits.block:
                self._fold(snapshot.taken_s)
        except sqlite3.Error as error:
            raise _unwritable(self._path, error) from error

    def close(self) -> None:
        """Put the rest into a block if that can be done, and close the file."""
        try:
            with closing(self._base), contextlib.suppress(sqlite3.Error):  # what is in the tail stays there
                newest = self._base.execute("SELECT max(taken) FROM tail").fetchone()[0]
                if newest is not None:
                    self._fold(newest)
        finally:
            os.close(self._lock)

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
                # Where the clock was set back, what follows lies among what was there before; all of it is thinned.
                if not times or abs(taken - times[-1]) >= self._limits.coarse_s - 0.5:
                    times.append(taken)
                    documents.append(document)
            self._base.execute("DELETE FROM block WHERE rowid = ?", (rowid,))
        order = sorted(range(len(times)), key=times.__getitem__)
        times, documents = [times[place] for place in order], [documents[place] for place in order]
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


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one snapshot lies: in the block `rowid` of `count`, or (count 0) in the tail."""

    taken_s: float
    rowid: int
    offset: int
    count: int


class Recording:
    """A recording to read, also while it is being written. What it gives is never marked as live."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError for a file that is no recording, or one of a newer pdctl."""
        self._base = _open(path, create=False)
        try:
            self.cluster = _about(self._base, path).get("cluster", "")
            self._places = self._index()
        except sqlite3.Error as error:
            self._base.close()
            raise UsageError(f"{path} is damaged: {error}", hint="an older copy, or another recording") from error
        except UsageError:
            self._base.close()
            raise
        self.times: tuple[float, ...] = tuple(place.taken_s for place in self._places)
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

    def _index(self) -> list[_Place]:
        """All places by time: where the clock was set back, blocks overlap."""
        with self._base:  # one view of both tables, also while a recorder folds
            self._base.execute("BEGIN")
            blocks = self._base.execute("SELECT rowid, count, times FROM block").fetchall()
            tail = self._base.execute("SELECT rowid, taken FROM tail").fetchall()
        places = [
            _Place(taken, rowid, offset, count)
            for rowid, count, times in blocks
            for offset, taken in enumerate(json.loads(times))
        ]
        places += [_Place(taken, rowid, 0, 0) for rowid, taken in tail]
        return sorted(places, key=lambda place: place.taken_s)

    def _document(self, place: int) -> Any:
        """Raises ValueError where it is damaged, or was thinned out since the recording was opened."""
        wanted = self._places[place]
        try:
            found = self._read(wanted)
            if found is None:  # folded or thinned by its recorder meanwhile: it lies elsewhere, if anywhere
                moved = [other for other in self._index() if other.taken_s == wanted.taken_s]
                found = self._read(moved[0]) if moved else None
        except (sqlite3.Error, zlib.error) as error:
            raise ValueError(f"the recording is damaged: {error}") from error
        if found is None:
            raise ValueError("this part of the recording was thinned out meanwhile; open it again")
        return found

    def _read(self, place: _Place) -> Any | None:
        if not place.count:
            query = "SELECT body FROM tail WHERE rowid = ? AND taken = ?"
            body = self._base.execute(query, (place.rowid, place.taken_s)).fetchone()
            return None if body is None else json.loads(zlib.decompress(body[0]))
        if self._cached[0] != place.rowid:
            body = self._base.execute("SELECT body FROM block WHERE rowid = ?", (place.rowid,)).fetchone()
            if body is None:
                return None
            self._cached = (place.rowid, unpack(body[0], place.count))
        return self._cached[1][place.offset]


def _open(path: Path, *, create: bool) -> sqlite3.Connection:
    new = not path.exists() or path.stat().st_size == 0
    if new and not create:
        raise UsageError(f"{path} does not exist or is empty", hint="`pdctl watch --record FILE` makes one")
    try:
        base = sqlite3.connect(
            path if create else f"{path.absolute().as_uri()}?mode=ro", uri=not create, check_same_thread=False
        )
        if create:
            base.execute(
                "PRAGMA synchronous = NORMAL"
            )  # a crash of pdctl loses nothing; one of the machine a few ticks
    except sqlite3.Error as error:
        raise UsageError(f"{path} cannot be opened: {error}", hint="was it made by `pdctl watch --record`?") from error
    if new and create:
        try:
            _begin(base)
        except sqlite3.Error as error:
            base.close()
            raise _unwritable(path, error) from error
    return base


def _begin(base: sqlite3.Connection) -> None:
    base.execute("PRAGMA auto_vacuum = INCREMENTAL")
    base.execute("PRAGMA journal_mode = WAL")
    with base:
        base.executescript(_TABLES)
        base.execute("INSERT INTO about VALUES ('format', ?)", (str(FORMAT),))
        base.execute("INSERT INTO about VALUES ('snapshot_schema', ?)", (str(SCHEMA),))


def _only_writer(path: Path) -> int:
    """A descriptor that holds the file's lock. SQLite's own locks are of another kind, and held for moments only."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _unwritable(path, error.strerror or error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise UsageError(f"{path} is being recorded to already", hint="name another file, or end that one") from error
    return lock


def _unwritable(path: Path, why: object) -> UsageError:
    return UsageError(f"{path} cannot be written: {why}", hint="is the disk full, or the directory not yours?")


def _about(base: sqlite3.Connection, path: Path) -> dict[str, str]:
    try:
        about = dict(base.execute("SELECT key, value FROM about").fetchall())
    except sqlite3.Error as error:
        raise UsageError(f"{path} is no recording: {error}", hint="was it made by `pdctl watch --record`?") from error
    if about.get("format") != str(FORMAT) or about.get("snapshot_schema") != str(SCHEMA):
        raise UsageError(f"{path} is a recording of another version of pdctl", hint="replay it with that version")
    return about
