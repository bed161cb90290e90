"""The styles that line-drawn widgets use, taken from the theme: nobody else names a colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.style import Style
from textual.color import Color

from pdctl.model.role import Role
from pdctl.tui.levels import Level, glyph


@dataclass(frozen=True, slots=True)
class Palette:
    """Every style has its background, so that a strip paints whole cells. `ascii_only`: glyphs a plain terminal has."""

    base: Style
    dim: Style
    bold: Style
    title: Style
    bar: Style
    bar_strong: Style
    bar_dim: Style
    cursor: Style
    levels: Mapping[Level, Style]
    roles: Mapping[Role, Style]
    heat: tuple[Style, ...]
    """Foregrounds from cool to hot, for heat maps and bars."""
    ascii_only: bool = False

    def level(self, level: Level) -> Style:
        return self.levels[level]

    def glyph(self, level: Level) -> str:
        return glyph(level, ascii_only=self.ascii_only)


def palette(variables: Mapping[str, str], *, ascii_only: bool = False) -> Palette:
    """The palette of a theme, given its CSS variables (`App.theme_variables`)."""

    def color(name: str, fallback: str) -> str:
        try:
            return Color.parse(variables.get(name, fallback)).hex6
        except Exception:  # `auto 87%` and `ansi_default` are no colours that a strip can mix
            return fallback

    ground, front = color("background", "#101418"), color("foreground", "#d8dee4")
    bar = color("panel", "#1d242b")
    muted = color("pdctl-muted", "#8a949e")
    base = Style(color=front, bgcolor=ground)

    def on(name: str, fallback: str, *, bold: bool = False) -> Style:
        return Style(color=color(name, fallback), bgcolor=ground, bold=bold or None)

    return Palette(
        base=base,
        dim=Style(color=muted, bgcolor=ground),
        bold=base + Style(bold=True),
        title=on("primary", "#56b4e9", bold=True),
        bar=Style(color=front, bgcolor=bar),
        bar_strong=Style(color=color("primary", "#56b4e9"), bgcolor=bar, bold=True),
        bar_dim=Style(color=muted, bgcolor=bar),
        cursor=Style(bgcolor=color("pdctl-cursor", "#2b4a63")),
        levels={
            Level.GOOD: on("success", "#56b4e9"),
            Level.WARN: on("warning", "#f0e442"),
            Level.BAD: on("error", "#ff7043", bold=True),
            Level.UNKNOWN: on("pdctl-unknown", "#cc79a7"),
            Level.PLAIN: base,
            Level.DIM: Style(color=muted, bgcolor=ground),
        },
        roles={
            Role.PREFILL: on("pdctl-prefill", "#e69f00"),
            Role.DECODE: on("pdctl-decode", "#56b4e9"),
            Role.MIXED: on("pdctl-mixed", "#cc79a7"),
        },
        heat=tuple(
            on(f"pdctl-heat-{step}", fallback)
            for step, fallback in enumerate(("#3b6fa0", "#56b4e9", "#b8d98a", "#f0e442", "#e69f00", "#d55e00"))
        ),
        ascii_only=ascii_only,
    )
