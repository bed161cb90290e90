"""What a driver that starts another project's tool needs to know of the place where it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pdctl.ssh.local import LocalShell
from pdctl.ssh.ports import Shell


@dataclass(frozen=True, slots=True)
class Means:
    """`shell`: the node, or this machine. `program`: how the tool is started there; empty: by its name on PATH.

    `tokenizer`: the model's directory there, or a name that the tool can resolve; empty: the model's name.
    `on_progress` is told (requests done, requests in all), where the tool shows them.
    """

    shell: Shell = field(default_factory=lambda: LocalShell("this machine"))
    program: tuple[str, ...] = ()
    tokenizer: str = ""
    on_progress: Callable[[int, int], None] | None = None

    def from_here(self) -> Means:
        """The same, with paths that are relative to this process's directory made absolute: tools run in another."""
        program = tuple(_absolute(word) if "/" in word else word for word in self.program)
        return replace(self, program=program, tokenizer=_absolute(self.tokenizer) if self.tokenizer else "")


def _absolute(name: str) -> str:
    """Links are not followed: a virtual environment's Python is one. What is no path here stays as it is."""
    path = Path(name)
    return str(path.absolute()) if path.exists() else name
