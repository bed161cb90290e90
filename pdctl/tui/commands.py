"""What is typed after `:`: a word of the registry, or its beginning, and what follows it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pdctl.tui.actions import Action


@dataclass(frozen=True, slots=True)
class Command:
    """An action, and the rest of the line: a filter for a view with a table."""

    action: Action
    rest: str


def words(actions: Sequence[Action]) -> tuple[str, ...]:
    """Everything that may be typed, for suggestions."""
    return tuple(word for action in actions for word in action.words)


def parse_command(text: str, actions: Sequence[Action]) -> Command | str:
    """The command, or why there is none. A beginning is enough where it belongs to one action only."""
    word, _, rest = text.strip().lstrip(":").partition(" ")
    if not word:
        return "nothing was typed"
    exact = [action for action in actions if word in action.words]
    found = exact or [action for action in actions if any(name.startswith(word) for name in action.words)]
    if not found:
        return f"there is no command {word!r}: {', '.join(action.words[0] for action in actions if action.words)}"
    if len(found) > 1:
        return f"{word!r} may be {' or '.join(action.words[0] for action in found)}"
    return Command(found[0], rest.strip())
