"""The one place where an argument vector becomes a line for a POSIX shell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pdctl.errors import UsageError

# No "=" (an assignment in front, `=cmd` in zsh) and no "~": what is not plainly inert is quoted.
_INERT = re.compile(r"[A-Za-z0-9_@%+:,./-]+", re.ASCII)


def quote(argv: Sequence[str]) -> str:
    """`argv` as one command line that a POSIX sh splits back into exactly these arguments.

    The command word is always quoted, so it is never an alias, a keyword or an assignment. Raises UsageError for an
    empty vector, and for arguments that no command line can carry: a NUL, or text that is not encodable as UTF-8.
    """
    if not argv:
        raise UsageError("an empty command cannot be run")
    for index, argument in enumerate(argv):
        if "\0" in argument:
            raise UsageError(f"argument {index} of the command contains a NUL byte")
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageError(f"argument {index} of the command is not valid Unicode text") from None
    return " ".join([_single_quoted(argv[0]), *(_word(argument) for argument in argv[1:])])


def _word(argument: str) -> str:
    return argument if _INERT.fullmatch(argument) else _single_quoted(argument)


def _single_quoted(argument: str) -> str:
    """Inside single quotes a POSIX shell takes everything literally but the quote itself."""
    return "'" + argument.replace("'", "'\"'\"'") + "'"
