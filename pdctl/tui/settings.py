"""What an operator sets of the screen: theme, rate, glyphs, keys. From flags and a file in the config directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_THEME = "pdctl-dark"
INTERVALS_S = (0.5, 1.0, 2.0, 5.0)
"""What `+` and `-` step through."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`keymap`: keys by action id, in place of the registry's. `interval_s`: seconds between two ticks.

    `timers`: whether the screen ages by itself between two snapshots; tests turn it off.
    """

    theme: str = DEFAULT_THEME
    interval_s: float = 1.0
    ascii_only: bool = False
    keymap: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    start: str = "pulse"
    timers: bool = True
