"""`pdctl top --snapshot` and `--csv`: what the terminal shows, in files, from a live cluster or a recording."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from pdctl.cli.global_options import Globals, new_run_id
from pdctl.control.opened import open_cluster
from pdctl.errors import UsageError
from pdctl.model.snapshot import Snapshot
from pdctl.telemetry.recording import Recording
from pdctl.tui.ports import Feed, Operations
from pdctl.tui.settings import Settings

LIVE_AFTER_S: Final = 12.0
"""A live cluster has figures of a whole window by then."""
BEFORE_COUNT: Final = 300
"""Of a recording, charts begin with the past, in so many snapshots at most."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be exported. `replay`: from this recording, at its end; `after_s` None: as the source needs."""

    picture: Path | None = None
    table: str | None = None
    output: Path | None = None
    size: tuple[int, int] = (160, 48)
    after_s: float | None = None
    replay: Path | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    feed: Feed
    operations: Operations
    before: Iterator[Snapshot]
    after_s: float


def parse_size(text: str) -> tuple[int, int]:
    """`160x48`: columns and rows. Raises UsageError."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and 40 <= int(width) <= 500 and 10 <= int(height) <= 200):
        raise UsageError(f"{text!r} is no size of a screen", hint="columns x rows: 80x24, 160x48")
    return int(width), int(height)


def export(options: Globals, settings: Settings, wanted: Wanted) -> int:
    """Write what is wanted. Raises UsageError for a file that cannot be written, InventoryError."""
    if wanted.table is not None:
        from pdctl.tui.csv_tables import csv_of

        snapshot = asyncio.run(_snapshot(options, settings, wanted))
        _write(wanted.output, csv_of(snapshot, wanted.table))
    if wanted.picture is not None:
        _write(wanted.picture, asyncio.run(_picture(options, settings, wanted)))
    return 0


def _write(path: Path | None, text: str) -> None:
    if path is None or str(path) == "-":
        sys.stdout.write(text)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}", hint="another place, or -o - for stdout"
        ) from None
    click.echo(f"{path}", err=True)


async def _picture(options: Globals, settings: Settings, wanted: Wanted) -> str:
    from pdctl.tui.app import PdctlApp
    from pdctl.tui.export import render_svg

    assert wanted.picture is not None
    async with _source(options, settings, wanted) as source:
        app = PdctlApp(source.feed, source.operations, settings)
        picture = await render_svg(app, size=wanted.size, after_s=source.after_s, before=source.before)
    return picture.text if wanted.picture.suffix == ".txt" else picture.svg


async def _snapshot(options: Globals, settings: Settings, wanted: Wanted) -> Snapshot:
    """The last one after so many seconds."""
    async with _source(options, settings, wanted) as source:
        began: float | None = None
        async for snapshot in source.feed.snapshots():
            began = snapshot.taken_s if began is None else began
            if snapshot.taken_s - began >= source.after_s:
                return snapshot
    raise UsageError("the cluster gave no snapshot", hint="`pdctl status` says what answers")


@asynccontextmanager
async def _source(options: Globals, settings: Settings, wanted: Wanted) -> AsyncIterator[_Source]:
    if wanted.replay is not None:
        from pdctl.tui.past import before
        from pdctl.tui.recorded import open_recording

        last = max(0, _count(wanted.replay) - 1)
        feed, operations, recording = open_recording(wanted.replay, first=last, inventory=options.inventory)
        try:
            past = before(recording, recording.times[last], count=BEFORE_COUNT)
            yield _Source(feed, operations, past, wanted.after_s or 0.0)
        finally:
            recording.close()
        return
    from pdctl.tui.live import LiveFeed, LiveOperations

    async with open_cluster(options.inventory) as opened:
        live = LiveFeed(opened.cluster, interval_s=settings.interval_s)
        reader = LiveOperations(opened, read_only="an export changes nothing", new_run=new_run_id)
        yield _Source(live, reader, iter(()), LIVE_AFTER_S if wanted.after_s is None else wanted.after_s)


def _count(path: Path) -> int:
    recording = Recording(path)
    try:
        return len(recording)
    finally:
        recording.close()
