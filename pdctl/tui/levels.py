"""How things stand, in five levels: each has a glyph and a colour, so that neither is needed alone. Pure."""

from __future__ import annotations

from enum import StrEnum

from pdctl.model.snapshot import AlertLevel, InstanceFigures, PairState, Vital


class Level(StrEnum):
    """GOOD, WARN (somebody should look), BAD (somebody must act), UNKNOWN (nobody can say: neither good nor bad),
    PLAIN (a figure that is not judged), DIM (old, or beside the point)."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"
    PLAIN = "plain"
    DIM = "dim"


_GLYPHS = {
    Level.GOOD: ("●", "+"),
    Level.WARN: ("▲", "!"),
    Level.BAD: ("✖", "X"),
    Level.UNKNOWN: ("?", "?"),
    Level.PLAIN: (" ", " "),
    Level.DIM: ("·", "."),
}

_VITALS = {
    Vital.UP: Level.GOOD,
    Vital.STARTING: Level.WARN,
    Vital.DRAINING: Level.WARN,
    Vital.STALE: Level.UNKNOWN,
    Vital.HUNG: Level.BAD,
    Vital.DOWN: Level.BAD,
    Vital.UNKNOWN: Level.UNKNOWN,
}

_PAIRS = {
    PairState.OK: Level.GOOD,
    PairState.SUSPECT: Level.WARN,
    PairState.BROKEN: Level.BAD,
    PairState.UNTRIED: Level.UNKNOWN,
}

_ALERTS = {AlertLevel.PAGE: Level.BAD, AlertLevel.WARN: Level.WARN, AlertLevel.INFO: Level.DIM}


def glyph(level: Level, *, ascii_only: bool = False) -> str:
    """The sign of a level, one column wide."""
    return _GLYPHS[level][ascii_only]


def of_vital(vital: Vital) -> Level:
    """Whether an engine works."""
    return _VITALS[vital]


def of_instance(instance: InstanceFigures) -> Level:
    """An engine that works and is no member serves nobody: somebody should look."""
    level = _VITALS[instance.vital]
    if level is Level.GOOD and instance.member is not True:
        return Level.WARN if instance.member is False else Level.UNKNOWN
    return level


def of_pair(state: PairState) -> Level:
    """Whether KV moves between the two."""
    return _PAIRS[state]


def of_alert(level: AlertLevel) -> Level:
    """How urgent."""
    return _ALERTS[level]


_WORST = (Level.BAD, Level.WARN, Level.UNKNOWN, Level.GOOD)


def worst(levels: list[Level]) -> Level:
    """The most urgent of them; UNKNOWN of none."""
    return next((level for level in _WORST if level in levels), Level.UNKNOWN)
