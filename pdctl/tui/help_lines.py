"""The help of a screen as lines, made from the registry. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pdctl.tui.actions import Action, Danger, shown_key, twin
from pdctl.tui.keys_text import TABLE_KEYS, help_groups
from pdctl.tui.settings import Settings
from pdctl.tui.spans import EMPTY, Ink, Inked, Span, cell, wrapped

KEYS_COLUMNS = 10
TITLE_COLUMNS = 13


def help_lines(scope: str, settings: Settings, refused: str, columns: int) -> list[Inked]:
    """Every key of that screen, what it does and the command that does the same; struck where it is `refused`."""
    lines: list[Inked] = []
    for title, items in help_groups(scope, settings):
        lines.append((Span(title, Ink.TITLE),))
        for item in items:
            lines += _action(item, refused if item.danger is not Danger.SAFE else "", columns)
        lines.append(EMPTY)
    lines.append((Span("Tables", Ink.TITLE),))
    lines += [(cell(keys, KEYS_COLUMNS + TITLE_COLUMNS, Ink.BOLD), Span(about)) for keys, about in TABLE_KEYS]
    if refused:
        lines += [EMPTY, (Span(f"Greyed: nothing may be changed here ({refused})", Ink.WARN),)]
    return lines


def _action(item: Action, refused: str, columns: int) -> Iterator[Inked]:
    keys = " ".join(shown_key(key) for key in item.keys) or f":{item.words[0]}" if item.keys or item.words else ""
    key_ink, ink = (Ink.DIM, Ink.DIM) if refused else (Ink.BOLD, Ink.BASE)
    left = KEYS_COLUMNS + TITLE_COLUMNS
    danger = "" if item.danger is Danger.SAFE else f" [{item.danger.value}]"
    text = f"{item.about}{danger}"
    head, *more = wrapped(text, max(20, columns - left))
    yield (cell(keys, KEYS_COLUMNS, key_ink), cell(item.title, TITLE_COLUMNS, ink), Span(head, ink))
    for line in more:
        yield (Span(" " * left), Span(line, ink))
    if item.twin:
        yield (Span(" " * left), Span(twin(item, ""), Ink.DIM))
