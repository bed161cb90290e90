"""One screen as a picture, without a terminal: the app runs headless over its feed, and is asked what it shows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from textual.pilot import Pilot

from pdctl.errors import PdctlError
from pdctl.model.snapshot import Snapshot
from pdctl.tui.app import PdctlApp
from pdctl.tui.screens.base import ViewScreen

FIRST_S: Final = 30.0
"""How long a first snapshot is waited for."""
POLL_S: Final = 0.05
CHECK_S: Final = 120.0
"""How long a check of the nodes, or an advice, is waited for, where the screen shows one."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A screen as SVG and as plain text."""

    svg: str
    text: str


async def render_svg(
    app: PdctlApp, *, size: tuple[int, int], after_s: float = 0.0, before: Iterable[Snapshot] = ()
) -> Picture:
    """What `app` shows `after_s` after its first snapshot, on a screen of so many columns and rows.

    `before`: snapshots that charts begin with. Raises PdctlError where the feed gives nothing.
    """
    taken: list[Picture] = []

    async def pilot(driver: Pilot[object]) -> None:
        with contextlib.suppress(TimeoutError):
            await _seen(app)
            for snapshot in before:
                app.history.fill(snapshot)
            await asyncio.sleep(after_s)
            await _checked(app)
            _drawn(app)
            await driver.pause()
            taken.append(Picture(app.export_screenshot(title=f"pdctl {app.heading().cluster}"), screen_text(app)))
        app.exit(0)

    await app.run_async(headless=True, size=size, auto_pilot=pilot)
    if not taken:
        raise PdctlError(app.trouble or "the cluster gave no snapshot", hint="`pdctl status` says what answers")
    return taken[0]


async def _seen(app: PdctlApp) -> None:
    """Raises TimeoutError where no snapshot comes."""
    async with asyncio.timeout(FIRST_S):
        while app.shown is None:
            if app.trouble:
                raise TimeoutError
            await asyncio.sleep(POLL_S)


def _drawn(app: PdctlApp) -> None:
    """Show the last snapshot again: what it is seen against may have come after it."""
    if isinstance(app.screen, ViewScreen) and app.shown is not None:
        app.screen.show(app.shown)


async def _checked(app: PdctlApp) -> None:
    checks = [worker for worker in app.workers if worker.group in ("check", "advice")]
    if checks:
        async with asyncio.timeout(CHECK_S):
            await app.workers.wait_for_complete(checks)


def screen_text(app: PdctlApp) -> str:
    """The screen as text, a line a row, without styles."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips) + "\n"
