"""Runs the pdctl command in the lab's network, as an operator on a machine there would, and keeps what it said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.site import CHECKOUT
from tests.waiting import wait_until

_COMMAND_S = 120.0


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended. `stderr` is what an operator would have read of it."""

    status: int
    stdout: str
    stderr: str

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The NDJSON events of a command that changes something, or those of one name."""
        lines = [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]
        return [line for line in lines if name in (None, line.get("event"))]

    def document(self) -> Any:
        """What a command that reads printed with `--json`."""
        return json.loads(self.stdout)


class Running:
    """A command that still runs; its output is on disk, so that it can be read meanwhile and after a SIGKILL."""

    def __init__(self, process: asyncio.subprocess.Process, stdout: Path, stderr: Path) -> None:
        self.process = process
        self._stdout = stdout
        self._stderr = stderr

    def so_far(self) -> Said:
        """What it has said until now; whole lines only."""
        text = self._stdout.read_text(errors="replace")
        status = -1 if self.process.returncode is None else self.process.returncode
        return Said(status, text[: text.rfind("\n") + 1], self._stderr.read_text(errors="replace"))

    async def has_said(self, event: str, deadline_s: float = 60.0, **fields: object) -> None:
        """Wait for an event with these fields."""

        def said() -> bool:
            found = [line for line in self.so_far().events(event) if fields.items() <= line.items()]
            return bool(found) or self.process.returncode is not None

        await wait_until(said, deadline_s, what=f"pdctl says {event} {fields}: {self.so_far()}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def end(self, deadline_s: float = _COMMAND_S) -> Said:
        """Wait for its end."""
        await asyncio.wait_for(self.process.wait(), deadline_s)
        return self.so_far()


@contextlib.asynccontextmanager
async def running(
    directory: Path, inventory: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """`pdctl --json -i inventory arguments…` with a home of its own below `directory`; killed at the end."""
    home, stdout, stderr = _files(directory)
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            *_argv(inventory, arguments),
            cwd=CHECKOUT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LANG": "C.UTF-8", **(env or {})},
        )
    try:
        yield Running(process, stdout, stderr)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def pdctl(
    directory: Path,
    inventory: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    deadline_s: float = _COMMAND_S,
) -> Said:
    """Run a command to its end."""
    async with running(directory, inventory, *arguments, env=env) as command:
        return await command.end(deadline_s)


def _files(directory: Path) -> tuple[Path, Path, Path]:
    """The operator's home, and where this command's output goes."""
    home = directory / "home"
    home.mkdir(exist_ok=True)
    number = len(list(directory.glob("pdctl-*.out")))
    return home, directory / f"pdctl-{number}.out", directory / f"pdctl-{number}.err"


def _argv(inventory: Path, arguments: Sequence[str]) -> list[str]:
    command = "import sys; from pdctl.cli.main import main; sys.exit(main())"
    return [sys.executable, "-c", command, "--json", "--yes", "-i", str(inventory), *arguments]
