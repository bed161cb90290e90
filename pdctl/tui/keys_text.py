"""The registry as text: what `pdctl keys` prints, and the help screen shows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pdctl.tui.actions import ACTIONS, Action, Danger, actions_on, shown_key, with_keys
from pdctl.tui.settings import Settings
from pdctl.tui.views import VIEWS

TABLE_KEYS = (
    ("up down j k", "the row above, the row below"),
    ("pgup pgdn", "a screen up or down"),
    ("home end g G", "the first row, the last"),
    ("enter", "open the row"),
)
"""The keys of every table, which are not remapped."""


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One action: its keys as they are shown, and where it is there ("" : everywhere)."""

    action: Action
    keys: str
    where: str


def key_lines(settings: Settings) -> tuple[KeyLine, ...]:
    """All actions with the keys that they have, in the order of the registry."""
    return tuple(
        KeyLine(item, " ".join(shown_key(key) for key in item.keys), ", ".join(sorted(item.scope)))
        for item in with_keys(ACTIONS, settings.keymap)
    )


def keys_table(settings: Settings) -> Iterator[str]:
    """`pdctl keys`: id, keys, where, what."""
    lines = key_lines(settings)
    widths = [max(len(line.action.id) for line in lines), max(len(line.keys) for line in lines)]
    where = max(len(line.where) for line in lines)
    for line in lines:
        danger = "" if line.action.danger is Danger.SAFE else f"  [{line.action.danger.value}]"
        place = f"{line.action.id:{widths[0]}}  {line.keys:{widths[1]}}  {line.where:{where}}"
        yield f"{place}  {line.action.about}{danger}"


def help_groups(scope: str, settings: Settings) -> tuple[tuple[str, Sequence[Action]], ...]:
    """The actions of one screen, by heading: its own, then the views, then the rest."""
    present = with_keys(actions_on(scope), settings.keymap)
    views = {f"go_{view.id}" for view in VIEWS}
    own = [item for item in present if item.scope]
    everywhere = [item for item in present if not item.scope and item.id not in views]
    return tuple(
        (title, items)
        for title, items in (
            ("This screen", own),
            ("Views", [item for item in present if item.id in views]),
            ("Everywhere", everywhere),
        )
        if items
    )
