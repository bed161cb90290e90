"""Everything that is wrong with a command line, told at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pdctl.errors import PdctlError, UsageError

T = TypeVar("T")


class Mistakes:
    """Collects what parsers of single options say; `refuse` tells all of it."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def add(self, text: str, hint: str = "") -> None:
        """One mistake, and what to do about it. The same one again is told once."""
        if (text, hint) not in self._found:
            self._found.append((text, hint))

    def read(self, option: str, text: str | None, parse: Callable[[str], T]) -> T | None:
        """What `parse` makes of the option's text; None where it was not given, or is wrong and was noted."""
        if text is None:
            return None
        try:
            return parse(text)
        except PdctlError as error:
            for problem in error.problems or (error.message,):
                self.add(f"{option}: {problem}", error.hint)
        except ValueError as error:
            self.add(f"{option} {text}: {error}")
        return None

    def refuse(self, command: str) -> None:
        """Raises UsageError if there was any."""
        if not self._found:
            return
        if len(self._found) == 1:
            text, hint = self._found[0]
            raise UsageError(text, hint=hint or f"`pdctl {command} --help`")
        problems = tuple(f"{text} (hint: {hint})" if hint else text for text, hint in self._found)
        raise UsageError(
            f"{len(problems)} mistakes on the command line", problems=problems, hint=f"`pdctl {command} --help`"
        )
