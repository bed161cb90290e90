"""Text that came from elsewhere (nodes, logs, inventories), made fit for one line of a terminal."""

from __future__ import annotations

from pdctl.ssh.text import printable


def one_line(text: str) -> str:
    """`text` without anything that could move the cursor: controls are shown, line ends and tabs become spaces.

    Markup is left as it is: views pass text to rich as text, never as markup, so `[red]` stays literal.
    """
    return " ".join(printable(text).split())


def log_line(text: str) -> str:
    """Like `one_line`, but the indentation of a log line is kept."""
    return printable(text).replace("\n", " ").expandtabs(4).rstrip()
