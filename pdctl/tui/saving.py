"""What is on the screen, kept: its table as CSV and its picture as SVG, in files beside the operator.

In a browser (`pdctl serve`) nothing is written here: both are handed to the browser as downloads.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pdctl.tui.csv_tables import csv_of, csv_table
from pdctl.tui.screens.base import ViewScreen
from pdctl.tui.screens.tabled import TabledScreen

if TYPE_CHECKING:
    from pdctl.tui.app import PdctlApp

_TABLES: Final = {"pulse": "pools", "matrix": "pairs", "node": "instances"}
"""What views that are no tables are made of."""


def files_of(app: PdctlApp) -> dict[str, str]:
    """By name: `pdctl-demo-nodes-20261122-174501.csv`, and the same as .svg. Views without a table have no CSV."""
    screen = app.screen
    view = screen.VIEW if isinstance(screen, ViewScreen) else "screen"
    stem = f"pdctl-{app.heading().cluster}-{view}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(app.wall()))}"
    files = {f"{stem}.svg": app.export_screenshot()}
    table = _table(app, screen)
    return {f"{stem}.csv": table, **files} if table else files


def _table(app: PdctlApp, screen: object) -> str:
    if isinstance(screen, TabledScreen):
        return csv_table(screen.table.columns, screen.table.shown_rows)
    if isinstance(screen, ViewScreen) and screen.VIEW in _TABLES and app.shown is not None:
        return csv_of(app.shown, _TABLES[screen.VIEW], app.window_s)
    return ""


async def save(app: PdctlApp, into: Path) -> None:
    """Write the files, or hand them to the browser, and say so; what cannot be written is said too."""
    files = files_of(app)
    if app.is_web:
        for name, text in files.items():
            app.deliver_text(io.StringIO(text), save_filename=name)
        return
    try:
        await asyncio.to_thread(_write, into, files)
    except OSError as error:
        app.notify(f"{into} cannot be written: {error.strerror}", title="not saved", severity="error")
        return
    app.notify("\n".join(files), title=f"saved in {into}")


def _write(into: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (into / name).write_text(text, encoding="utf-8")
