"""A figure as a screen shows it: text, how sure it is, and its age once it is old. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pdctl.model.figure import Basis, Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.text.duration import duration
from pdctl.tui.history import History, Key
from pdctl.tui.levels import Level

STALE_TICKS: Final = 2.0
STALE_GRACE_S: Final = 0.5
"""A figure is old once it missed two ticks (as `Vital.STALE`), with half a second for the way."""
CHANGED: Final = 0.10
"""A figure that differs by less than a tenth from a minute ago is steady: an arrow is to mean something."""
UP, DOWN = "↑", "↓"


@dataclass(frozen=True, slots=True)
class Freshness:
    """What makes a figure old: `stale_after_s`, and `lag_s`, the age of the snapshot itself."""

    stale_after_s: float
    lag_s: float = 0.0

    @classmethod
    def of(cls, interval_s: float, lag_s: float = 0.0) -> Freshness:
        """For a snapshot every `interval_s`."""
        return cls(STALE_TICKS * interval_s + STALE_GRACE_S, lag_s if lag_s > STALE_TICKS * interval_s else 0.0)


@dataclass(frozen=True, slots=True)
class Shown:
    """`short` is its one bound, for where `text` does not fit. `age`: "12s" where it is old, else "". `value`: one
    number for bars and colours; `note`: what else is to be said, or why it is not known."""

    text: str
    level: Level = Level.PLAIN
    age: str = ""
    value: float | None = None
    note: str = ""
    basis: Basis | None = None
    bound: str = ""

    @property
    def short(self) -> str:
        return self.bound or self.text


@dataclass(frozen=True, slots=True)
class Trend:
    """Against a minute ago: `sign` "", UP or DOWN; `share` of the change; whether that is good (None: neither)."""

    sign: str = ""
    share: float = 0.0
    good: bool | None = None

    @property
    def level(self) -> Level:
        if not self.sign or self.good is None:
            return Level.DIM
        return Level.GOOD if self.good else Level.WARN

    @property
    def text(self) -> str:
        """`↑12%`; more than tenfold is a factor."""
        if not self.sign:
            return ""
        return f"{self.sign}{self.share:.0%}" if self.share < 10 else f"{self.sign}{self.share + 1:.0f}x"


STEADY: Final = Trend()


def shown(figure: Fig, text: Callable[[Fig], str], fresh: Freshness) -> Shown:
    """In the words of `text`; dim with its age where it is old, a `?` where it is not known."""
    if isinstance(figure, Unknown):
        return Shown(text(figure), Level.UNKNOWN, note=figure.reason)
    age_s = figure.age_s + fresh.lag_s
    old = age_s > fresh.stale_after_s and figure.basis is not Basis.CANARY
    level, age = (Level.DIM, duration(age_s)) if old else (Level.PLAIN, "")
    return Shown(text(figure), level, age, figure.middle, figure.note, figure.basis, text_of_bound(figure, text))


def text_of_bound(figure: Figure, text: Callable[[Fig], str]) -> str:
    """`<` and the upper bound of an interval: what is said holds. As it is where it has no width, or no upper bound."""
    if figure.low == figure.high or math.isinf(figure.high):
        return text(figure)
    return "<" + text(Figure.exact(figure.high, figure.age_s, figure.basis))


def trend(figure: Fig, history: History, key: Key, *, up_is_good: bool | None = None) -> Trend:
    """Of a figure whose series is `key`; steady where the past is not known."""
    before = history.ago(key)
    if isinstance(figure, Unknown) or before is None:
        return STEADY
    now = history.series(key, 1, 1)[0]
    now = figure.middle if now is None else now
    if before <= 0 or now <= 0 or abs(now - before) <= CHANGED * before:
        return STEADY
    rising = now > before
    good = None if up_is_good is None else rising is up_is_good
    return Trend(UP if rising else DOWN, abs(now - before) / before, good)
