"""Simulated nodes for the demo: a fleet owned by this process, or one that stays until it is taken down.

An owned fleet hangs on a pipe whose only writing end is ours: however this process ends, SIGKILL included, the kernel
closes it, and the fleet kills everything on its nodes and itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import platformdirs

from pdctl.control.demo_record import (
    MARKER,
    DemoNodes,
    Leftover,
    find_leftovers,
    kill_leftovers,
    read_identity,
    read_nodes,
)
from pdctl.errors import PdctlError

START_S = 60.0  # from the start to the last node's readiness; two seconds are normal
STOP_S = 20.0  # the fleet's own deadlines are 10 s for its nodes and 10 s for what they leave
ALREADY_UP = 75  # the fleet's exit status where another one holds the directory


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """What a fleet is to look like; the inventory it writes says the same. `layout` reads like 2P3D.

    `nodes` beyond the layout's are spares. `startup_s` is the simulated load time of an engine, `env` the environment
    of every engine, `router_port` None picks a free one. `prefill_tokens` and `decode_seqs` are those of one step,
    `ttft` and `itl` the targets as the inventory writes them.
    """

    layout: str = "2P3D"
    nodes: int | None = None
    mode: str = "write"
    startup_s: float = 1.0
    router_port: int | None = None
    cluster: str = "demo"
    env: Mapping[str, str] = field(default_factory=dict)
    prefill_tokens: int = 16384
    decode_seqs: int = 256
    ttft: str = "1s"
    itl: str = "50ms"

    def argv(self) -> list[str]:
        """The fleet's command line for these options."""
        argv = ["--layout", self.layout, "--mode", self.mode, "--cluster", self.cluster]
        argv += ["--startup-s", f"{self.startup_s:g}"]
        argv += ["--prefill-tokens", str(self.prefill_tokens), "--decode-seqs", str(self.decode_seqs)]
        argv += ["--ttft", self.ttft, "--itl", self.itl]
        if self.nodes is not None:
            argv += ["--nodes", str(self.nodes)]
        if self.router_port is not None:
            argv += ["--router-port", str(self.router_port)]
        for name, value in self.env.items():
            argv += ["--env", f"{name}={value}"]
        return argv


@dataclass(frozen=True, slots=True)
class UpReport:
    """`started` False: the nodes were up already."""

    nodes: DemoNodes
    started: bool


@dataclass(frozen=True, slots=True)
class DownReport:
    """`was_up` False: there was nothing to take down. `leftovers` outlived their nodes and were killed one by one."""

    was_up: bool
    leftovers: tuple[Leftover, ...] = ()


def default_directory() -> Path:
    """Where `pdctl demo nodes` keeps its fleet."""
    return platformdirs.user_state_path("pdctl") / "demo"


class DemoFleet:
    """Simulated nodes that live as long as this context, and not longer than this process.

    `async with DemoFleet(directory, FleetOptions()) as nodes: …`; afterwards `leftovers` names what outlived its node
    (normally nothing; it is dead too by then). Raises PdctlError if the nodes do not come up.
    """

    def __init__(self, directory: Path, options: FleetOptions | None = None) -> None:
        self.leftovers: tuple[Leftover, ...] = ()
        self._directory = directory.absolute()
        self._options = options or FleetOptions()
        self._fleet = uuid.uuid4().hex
        self._owner = -1
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> DemoNodes:
        try:
            return await self._start()
        except BaseException:
            await asyncio.shield(self._stop())
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.shield(self._stop())

    async def _start(self) -> DemoNodes:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = self._directory / "fleet.log"
        lifeline, self._owner = os.pipe()
        try:
            with log.open("wb") as stderr:
                self._process = await asyncio.create_subprocess_exec(
                    *_command(self._directory, *self._options.argv(), "--owner-fd", "0"),
                    stdin=lifeline,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=stderr,
                    env={**os.environ, MARKER: self._fleet},
                    start_new_session=True,  # Ctrl-C is ours to handle: `down` still needs the nodes
                )
        finally:
            os.close(lifeline)
        assert self._process.stdout is not None
        try:
            ready = await asyncio.wait_for(self._process.stdout.readline(), START_S)
        except TimeoutError:
            ready = b""
        nodes = read_nodes(self._directory)
        if ready != b"ready\n" or nodes is None:
            raise _not_started(_last_line(log.read_text(errors="replace")), f"the whole log is in {log}")
        return nodes

    async def _stop(self) -> None:
        if self._owner >= 0:
            os.close(self._owner)
            self._owner = -1
        if self._process is not None:
            try:
                await asyncio.wait_for(self._process.wait(), STOP_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self.leftovers = await asyncio.to_thread(kill_leftovers, self._fleet)


async def demo_nodes_up(directory: Path | None = None, options: FleetOptions | None = None) -> UpReport:
    """Start nodes that stay when this process and its terminal are gone. Nodes that are up already are left alone.

    Raises PdctlError if they do not come up.
    """
    directory = (directory or default_directory()).absolute()
    running = demo_nodes_status(directory)
    if running is not None:
        return UpReport(running, started=False)
    process = await asyncio.create_subprocess_exec(
        *_command(directory, *(options or FleetOptions()).argv(), "--detached"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, MARKER: uuid.uuid4().hex},
    )
    try:
        _, stderr = await asyncio.wait_for(process.communicate(), START_S)
    except BaseException:
        if process.returncode is None:
            process.kill()  # the fleet finds nobody to tell that it is ready, and ends
            await process.wait()
        raise
    nodes = demo_nodes_status(directory)
    if nodes is None or process.returncode not in (0, ALREADY_UP):
        raise _not_started(_last_line(stderr.decode(errors="replace")), f"look into {directory / 'fleet.log'}")
    return UpReport(nodes, started=process.returncode == 0)


async def demo_nodes_down(directory: Path | None = None) -> DownReport:
    """Take such nodes down, and everything on them; nothing to take down is a success.

    Raises PdctlError if the fleet does not end within its deadlines.
    """
    directory = (directory or default_directory()).absolute()
    identity = read_identity(directory)
    if identity is None:
        return DownReport(was_up=False)
    was_up = identity.alive()
    if was_up:
        os.kill(identity.pid, signal.SIGTERM)
    end = time.monotonic() + STOP_S
    while identity.alive():
        if time.monotonic() > end:
            raise PdctlError(f"the simulated nodes' process {identity.pid} does not end", hint=f"kill {identity.pid}")
        await asyncio.sleep(0.02)
    leftovers = await asyncio.to_thread(kill_leftovers, identity.fleet)
    if not was_up:
        await _clean(directory)
    return DownReport(was_up=was_up, leftovers=leftovers)


def demo_nodes_status(directory: Path | None = None) -> DemoNodes | None:
    """The nodes that are up there now; None if none are, be it that they died."""
    nodes = read_nodes((directory or default_directory()).absolute())
    return nodes if nodes is not None and nodes.identity.alive() else None


def demo_nodes_leftovers(directory: Path | None = None) -> tuple[Leftover, ...]:
    """What lives of the directory's last fleet although the fleet is dead; normally nothing."""
    identity = read_identity((directory or default_directory()).absolute())
    return () if identity is None or identity.alive() else find_leftovers(identity.fleet)


async def _clean(directory: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *_command(directory, "--clean"), stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    await process.wait()


def _command(directory: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "pdctl.sim.fleet", "--dir", str(directory), *arguments]


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _not_started(cause: str, hint: str) -> PdctlError:
    return PdctlError(f"the simulated nodes did not start: {cause}", hint=hint)
