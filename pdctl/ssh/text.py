"""Bytes from a node made safe to show: whatever a host prints, it cannot drive the operator's terminal."""

from __future__ import annotations

import re

# CSI (ECMA-48 5.4), then OSC, DCS, SOS, PM and APC strings up to BEL or ST, then every other escape. An unfinished
# string sequence swallows no more than its line.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)

# C0 but tab and newline, DEL, C1, line separators, bidi overrides and isolates ("trojan source"), lone surrogates.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(raw: bytes | str, *, max_chars: int | None = None) -> str:
    """Text that is safe in a terminal: decoded with replacement, terminal sequences removed, every other control
    character but tab and newline shown as `\\xNN`. Carriage returns before a newline are dropped.

    `max_chars` cuts, with an ellipsis. Markup (rich's `[red]`) is the view's business: it shows text as text.
    """
    text = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
    text = _SEQUENCES.sub("", text.replace("\r\n", "\n"))
    text = _CONTROLS.sub(_escaped, text)
    if not text.isprintable():  # what no font shows (unassigned, zero-width) could hide something
        text = "".join(char if char.isprintable() or char.isspace() else _code(char) for char in text)
    if max_chars is not None and len(text) > max_chars:
        text = text[: max(0, max_chars - 1)] + "…"
    return text


def last_line(raw: bytes | str, *, max_chars: int = 200) -> str:
    """The last line that says something, printable: the cause to quote in a one-line error. "" where there is none."""
    lines = [line.strip() for line in printable(raw).splitlines()]
    return printable(next((line for line in reversed(lines) if line), ""), max_chars=max_chars)


def _escaped(match: re.Match[str]) -> str:
    return _code(match.group())


def _code(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
