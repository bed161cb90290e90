"""How an error that ends a command is told."""

from __future__ import annotations

from pdctl.errors import PdctlError
from pdctl.ssh.text import printable
from pdctl.text.escape import one_line


def render_error(error: PdctlError) -> str:
    """`pdctl: cause`, then every located problem of an invalid input, then `hint: …`; no newline at the end."""
    lines = [f"pdctl: {one_line(error.message)}"]
    lines += [printable(problem).rstrip("\n") for problem in error.problems]  # with their carets, so line by line
    if error.hint:
        lines.append(f"hint: {one_line(error.hint)}")
    return "\n".join(lines)
