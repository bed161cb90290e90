"""The `pdctl` command as an operator runs it: a process of its own, told by its exit code and by what it prints."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PDCTL = Path(sys.executable).with_name("pdctl")
DEADLINE_S = 100.0
LINE_BYTES = 1 << 20

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended. `show` is for the failure's text."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Json]:
        """Every JSON line of stdout."""
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    @property
    def document(self) -> Json:
        """The last JSON line of stdout."""
        assert self.lines, self.show
        return self.lines[-1]

    @property
    def show(self) -> str:
        """What the command printed: failures first, then the end."""
        failed = "".join(f"{line}\n" for line in self.out.splitlines() if "step_failed" in line)
        return f"pdctl {' '.join(self.argv)} ended with {self.code}\n{failed}\n{self.out[-2000:]}\n{self.err[-2000:]}"

    def events(self, name: str) -> list[Json]:
        """The events of that name, in their order."""
        return [line for line in self.lines if line.get("event") == name]

    def expect(self, code: int) -> Done:
        """Itself, if it ended with `code`."""
        assert self.code == code, self.show
        return self


class Running:
    """A command that runs: its JSON lines as they come, and its end."""

    def __init__(self, argv: tuple[str, ...], process: asyncio.subprocess.Process) -> None:
        self.argv = argv
        self.pid = process.pid
        self.seen: list[Json] = []
        self._process = process
        assert process.stderr is not None
        self._err = asyncio.create_task(process.stderr.read())

    async def until(self, accepted: Callable[[Json], bool], what: str, deadline_s: float = DEADLINE_S) -> Json:
        """Read on to the first line that is accepted. Fails the test if the output ends or the deadline passes."""
        assert self._process.stdout is not None
        async with asyncio.timeout(deadline_s):
            async for raw in self._process.stdout:
                line: Json = json.loads(raw)
                self.seen.append(line)
                if accepted(line):
                    return line
        raise AssertionError(f"the command ended without {what}: {self.seen[-3:]}, {(await self._err).decode()}")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self, deadline_s: float = DEADLINE_S) -> Done:
        """Its end, with all that it printed."""
        assert self._process.stdout is not None
        async with asyncio.timeout(deadline_s):
            rest = (await self._process.stdout.read()).decode()
            err = (await self._err).decode()
            code = await self._process.wait()
        out = "".join(json.dumps(line) + "\n" for line in self.seen) + rest
        return Done(self.argv, code, out, err)

    async def close(self) -> None:
        """Kill it if the test did not see its end."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._err


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody at a machine: the state directory of their own, and the inventory that they work with."""

    state: Path
    inventory: Path | None = None
    env: Mapping[str, str] | None = None

    def environment(self) -> dict[str, str]:
        """Nothing of the developer's own pdctl settings leaks in."""
        base = {name: value for name, value in os.environ.items() if not name.startswith("PDCTL_") or "TEST" in name}
        inventory = {} if self.inventory is None else {"PDCTL_INVENTORY": str(self.inventory)}
        return {**base, "XDG_STATE_HOME": str(self.state), "NO_COLOR": "1", **inventory, **(self.env or {})}

    async def pdctl(self, *argv: str, deadline_s: float = DEADLINE_S) -> Done:
        """Run one command to its end."""
        async with self.starts(*argv) as running:
            return await running.end(deadline_s)

    def pdctl_now(self, *argv: str, deadline_s: float = DEADLINE_S) -> Done:
        """`pdctl` for fixtures that outlive one event loop; blocking."""
        done = subprocess.run(
            [PDCTL, *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=deadline_s,
        )
        return Done(argv, done.returncode, done.stdout, done.stderr)

    def inventory_document(self) -> Json:
        """The inventory, parsed."""
        assert self.inventory is not None
        document: Json = yaml.safe_load(self.inventory.read_text())
        return document

    def write_inventory(self, document: Json) -> None:
        """Replace the inventory."""
        assert self.inventory is not None
        self.inventory.write_text(yaml.safe_dump(document, sort_keys=False))

    @asynccontextmanager
    async def starts(self, *argv: str) -> AsyncIterator[Running]:
        """Start one command; it is dead when the context is left."""
        process = await asyncio.create_subprocess_exec(
            PDCTL,
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment(),
            limit=LINE_BYTES,
        )
        running = Running(argv, process)
        try:
            yield running
        finally:
            await running.close()
