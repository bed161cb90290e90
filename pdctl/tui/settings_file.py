"""The settings file: `tui.yaml` in the user's config directory. Every mistake in it at once, located.

theme: pdctl-light        # or one of textual's
interval: 2               # seconds between two ticks
ascii: true
view: nodes               # what is shown first
keys:                     # by action id (`pdctl keys` lists them); what is not named keeps its keys
  move: M
  quit: [q, ctrl+q]
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from pdctl.inventory.document import Document
from pdctl.inventory.problems import InvalidInventory, Problem
from pdctl.tui.actions import ACTIONS, KEY_NAMES, action
from pdctl.tui.settings import Settings
from pdctl.tui.views import VIEWS

FILE: Final = "tui.yaml"
_KNOWN: Final = ("theme", "interval", "ascii", "view", "keys")
_SIGNS: Final = {sign: name for name, sign in KEY_NAMES.items() if len(sign) == 1}
FASTEST_S, SLOWEST_S = 0.2, 60.0
_DEFAULTS: Final = Settings()


class InvalidSettings(InvalidInventory):
    """A settings file with mistakes."""


def load_settings(path: Path) -> Settings:
    """The settings in that file; the defaults where there is none. Raises InvalidSettings."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings((Problem(str(path), 1, 1, "", f"cannot be read: {error}"),)) from None
    return parse_settings(text, str(path))


def parse_settings(text: str, file: str) -> Settings:
    """The settings that `text` says. Raises InvalidSettings with every mistake."""
    if not "".join(line.partition("#")[0] for line in text.splitlines()).strip():
        return Settings()
    try:
        document = Document(text, file)
    except InvalidInventory as error:
        raise InvalidSettings(error.located) from None
    problems = [document.problem(flaw.path, flaw.message, flaw.hint, node=flaw.node) for flaw in document.flaws]
    data = document.data
    if not isinstance(data, dict):
        raise InvalidSettings((document.problem((), "this is a mapping of settings", "theme: pdctl-dark"),))
    problems += [_unknown(document, key) for key in data if key not in _KNOWN]
    theme = _text(document, problems, data.get("theme"), "theme", _DEFAULTS.theme)
    view = _text(document, problems, data.get("view"), "view", _DEFAULTS.start)
    if view not in {item.id for item in VIEWS}:
        problems.append(document.problem(("view",), f"there is no view {view!r}", ", ".join(v.id for v in VIEWS)))
    interval_s = data.get("interval", _DEFAULTS.interval_s)
    number = isinstance(interval_s, int | float) and not isinstance(interval_s, bool)
    if not number or not FASTEST_S <= float(interval_s) <= SLOWEST_S:
        problems.append(document.problem(("interval",), f"seconds, {FASTEST_S:g} to {SLOWEST_S:g}"))
        interval_s = _DEFAULTS.interval_s
    ascii_only = data.get("ascii", False)
    if not isinstance(ascii_only, bool):
        problems.append(document.problem(("ascii",), "true or false"))
    keymap, wrong = _keymap(document, data.get("keys") or {})
    problems += wrong
    if problems:
        raise InvalidSettings(tuple(sorted(problems, key=lambda problem: (problem.line, problem.col))))
    return Settings(theme, float(interval_s), bool(ascii_only), keymap, view)


def _unknown(document: Document, key: str) -> Problem:
    close = get_close_matches(key, _KNOWN, n=1)
    return document.problem(
        (key,), "there is no such setting", f"did you mean {close[0]!r}?" if close else ", ".join(_KNOWN), at_key=True
    )


def _text(document: Document, problems: list[Problem], value: object, name: str, default: str) -> str:
    if value is None:
        return default
    if not isinstance(value, str):
        problems.append(document.problem((name,), "a name"))
        return default
    return value


def _keymap(document: Document, written: object) -> tuple[dict[str, tuple[str, ...]], list[Problem]]:
    """Keys by action id, in textual's names, and what is wrong with them."""
    if not isinstance(written, dict):
        return {}, [document.problem(("keys",), "a mapping of action ids to keys", "keys: {move: M}")]
    keymap: dict[str, tuple[str, ...]] = {}
    problems: list[Problem] = []
    for name, value in written.items():
        keys = value if isinstance(value, list) else [value]
        if action(name) is None:
            close = get_close_matches(name, [item.id for item in ACTIONS], n=1)
            hint = f"did you mean {close[0]!r}?" if close else "`pdctl keys` lists the actions"
            problems.append(document.problem(("keys", name), "there is no such action", hint, at_key=True))
        elif not keys or not all(isinstance(key, str | int) and str(key).strip() for key in keys):
            problems.append(document.problem(("keys", name), "a key, or a list of keys", f"{name}: [M, ctrl+m]"))
        else:
            keymap[name] = tuple(_SIGNS.get(str(key), str(key)) for key in keys)
    problems += _clashes(document, keymap)
    return keymap, problems


def _clashes(document: Document, keymap: dict[str, tuple[str, ...]]) -> Iterator[Problem]:
    """A key of the file that would do two things on one screen."""
    for name, keys in keymap.items():
        mine = action(name)
        assert mine is not None
        for other in ACTIONS:
            shared = set(keys) & set(keymap.get(other.id, other.keys))
            together = not mine.scope or not other.scope or mine.scope & other.scope
            if other.id != name and shared and together:
                hint = f"give {other.id} another key in this file, too"
                yield document.problem(("keys", name), f"{min(shared)} is the key of {other.id}", hint)
