"""Waiting for the screen on a busy machine: for what is asserted, never for a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from textual.pilot import Pilot
from textual.screen import Screen

from tests.waiting import wait_until

S = TypeVar("S", bound=Screen)  # type: ignore[type-arg]


async def until(pilot: Pilot[int], predicate: Callable[[], object], what: str) -> None:
    """Wait until that is so, and painted."""
    await wait_until(predicate, 10.0, what=what)
    await pilot.pause()


async def on_screen(pilot: Pilot[int], kind: type[S]) -> S:
    """Wait until a screen of that kind is on top, with its widgets; the screen."""
    await until(pilot, lambda: isinstance(pilot.app.screen, kind) and pilot.app.screen.is_mounted, f"{kind.__name__}")
    assert isinstance(pilot.app.screen, kind)
    return pilot.app.screen
