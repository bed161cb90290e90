"""Every theme can be read, and its states told apart without sharp colour sight."""

from __future__ import annotations

from itertools import combinations

import pytest
from rich.style import Style
from textual.theme import Theme

from pdctl.model.role import Role
from pdctl.tui.levels import Level, glyph
from pdctl.tui.palette import Palette, palette
from pdctl.tui.themes import THEMES

Rgb = tuple[float, float, float]

# Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB.
SIGHTS = {
    "full": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
STATES = (Level.GOOD, Level.WARN, Level.BAD, Level.UNKNOWN)
APART = 0.02
"""Squared distance in linear RGB: about that of two neighbouring colours of the Okabe-Ito palette to full sight."""


def look_of(theme: Theme) -> Palette:
    return palette({**theme.to_color_system().generate(), **theme.variables})


def linear(style: Style, *, ground: bool = False) -> Rgb:
    color = style.bgcolor if ground else style.color
    assert color is not None
    red, green, blue = (part / 255 for part in color.get_truecolor())

    def lit(part: float) -> float:
        return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)

    return lit(red), lit(green), lit(blue)


def contrast(style: Style) -> float:
    """WCAG 2.1's ratio of the text to its ground."""
    bright, dark = sorted(
        (sum(part * weight for part, weight in zip(rgb, (0.2126, 0.7152, 0.0722), strict=True)) for rgb in
         (linear(style), linear(style, ground=True))),
        reverse=True,
    )  # fmt: skip
    return (bright + 0.05) / (dark + 0.05)


def seen(rgb: Rgb, sight: tuple[Rgb, Rgb, Rgb]) -> Rgb:
    red, green, blue = (min(1.0, max(0.0, sum(row[place] * rgb[place] for place in range(3)))) for row in sight)
    return red, green, blue


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_all_text_stands_out_from_its_ground(theme: Theme) -> None:
    look = look_of(theme)
    texts = {f"level {level}": look.level(level) for level in Level}
    texts |= {f"role {role}": look.roles[role] for role in Role}
    texts |= {f"heat {step}": style for step, style in enumerate(look.heat)}
    texts |= {"dim": look.dim, "bar": look.bar, "bar_dim": look.bar_dim, "bar_strong": look.bar_strong}
    faint = {name: round(contrast(style), 1) for name, style in texts.items() if contrast(style) < 3.0}
    assert faint == {}
    assert contrast(look.base) >= 7.0
    assert contrast(look.base + look.cursor) >= 4.5


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_states_are_told_apart_by_every_sight(theme: Theme, sight: str) -> None:
    look = look_of(theme)
    seen_as = {level: seen(linear(look.level(level)), SIGHTS[sight]) for level in STATES}
    near = [
        (one, other)
        for one, other in combinations(STATES, 2)
        if sum((left - right) ** 2 for left, right in zip(seen_as[one], seen_as[other], strict=True)) < APART
    ]
    assert near == []


def test_no_state_needs_its_colour() -> None:
    for plain in (False, True):
        assert len({glyph(level, ascii_only=plain) for level in STATES}) == len(STATES)
        assert all(len(glyph(level, ascii_only=plain)) == 1 for level in Level)
    assert all(glyph(level, ascii_only=True).isascii() for level in Level)
