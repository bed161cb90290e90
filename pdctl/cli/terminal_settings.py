"""Flags and the settings file become the terminal's settings; textual's own environment is set in time."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
import platformdirs

from pdctl.tui.settings import Settings
from pdctl.tui.settings_file import FILE, load_settings
from pdctl.tui.views import VIEWS

SLOW_INTERVAL_S: Final = 2.0
_SLOW: Final = {"TEXTUAL_FPS": "10", "TEXTUAL_ANIMATIONS": "none", "TEXTUAL_SMOOTH_SCROLL": "0"}
"""For slow links; textual reads them when it is imported."""


def settings_path() -> Path:
    """Where the operator's settings are, or would be."""
    return platformdirs.user_config_path("pdctl") / FILE


def terminal_options(command: Any) -> Any:
    """The options of every command that opens the terminal."""
    for option in (
        click.option("--slow", is_flag=True, help="For a slow link: fewer frames, a look every 2 s, no animation."),
        click.option("--ascii", "ascii_only", is_flag=True, help="No other characters than ASCII."),
        click.option("--theme", default=None, help="pdctl-dark (safe for colour blindness), pdctl-light, ..."),
        click.option(
            "--rate", "interval_s", type=click.FloatRange(0.2, 60.0), default=None, help="Seconds between two looks."
        ),
        click.option(
            "--view", type=click.Choice([view.id for view in VIEWS]), default=None, help="What to show first."
        ),
    ):
        command = option(command)
    return command


def terminal_settings(
    *, slow: bool = False, ascii_only: bool = False, theme: str | None = None, interval_s: float | None = None,
    view: str | None = None,
) -> Settings:  # fmt: skip
    """The file's settings, under what was typed. Raises InvalidSettings. To be called before textual is imported."""
    if slow:
        for name, value in _SLOW.items():
            os.environ.setdefault(name, value)
    settings = load_settings(settings_path())
    rate = interval_s if interval_s is not None else SLOW_INTERVAL_S if slow else settings.interval_s
    return replace(
        settings,
        theme=theme or settings.theme,
        interval_s=rate,
        ascii_only=ascii_only or settings.ascii_only or not _speaks_unicode(),
        start=view or settings.start,
    )


def _speaks_unicode() -> bool:
    """Whether the locale can show more than ASCII, as far as its name tells."""
    name = next((os.environ[key] for key in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(key)), "")
    return name.upper() not in ("C", "POSIX")
