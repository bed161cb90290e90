"""A registrar as a process of its own, from the very file that is shipped, and the router that it talks to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from pdctl.routers.bundle import registrar_source
from tests.waiting import free_port, wait_until
from tests.wire.fake_engine import FakeEngine


def entry(name: str, kind: str, engine: FakeEngine | str, generation: int = 1) -> dict[str, Any]:
    """One member of a members file."""
    address = engine if isinstance(engine, str) else engine.address
    zmq = "host:127.0.0.1,handshake:6301,notify:61005"
    sizes = {"dp_size": 1, "tp_size": 1, "transfer_mode": None if kind == "M" else "WRITE", "generation": generation}
    return {"name": name, "type": kind, "http_address": address, "zmq_address": zmq, **sizes}


def stop(process: subprocess.Popen[bytes] | None, how: signal.Signals = signal.SIGKILL) -> None:
    if process is not None and process.poll() is None:
        process.send_signal(how)
        process.wait(10)


@dataclass(slots=True)
class Rig:
    """The registrar of one test in `directory`. Use `registrar_rig` to make one that ends with the test."""

    directory: Path
    discovery: str
    http: str = "127.0.0.1:1"
    mode: str = "ttl"
    options: Sequence[str] = ("--poll-s", "0.1", "--hung-s", "1.5")
    process: subprocess.Popen[bytes] | None = None
    seq: int = 0
    state_path: Path = Path("not started")

    def start(self, state: str = "state.json") -> None:
        self.state_path = self.directory / state
        program = self.directory / "registrar.py"
        program.write_text(registrar_source())
        command = [sys.executable, "-IS", str(program), "--members", str(self.members_path)]
        self.process = subprocess.Popen([*command, "--state", str(self.state_path), *self.options])

    @property
    def members_path(self) -> Path:
        return self.directory / "members.json"

    def write(self, *members: dict[str, Any], epoch: int = 1, seq: int | None = None) -> None:
        """Replace the members file atomically."""
        self.seq = self.seq + 1 if seq is None else seq
        document = {
            "schema": 1,
            "cluster": "test",
            "epoch": epoch,
            "seq": self.seq,
            "mode": self.mode,
            "router": {"http": self.http, "discovery": self.discovery},
            "members": members,
        }
        aside = self.directory / "members.aside"
        aside.write_text(json.dumps(document))
        aside.rename(self.members_path)

    @property
    def state(self) -> dict[str, Any]:
        """The registrar's state; before its first word, one that says nothing."""
        try:
            found: dict[str, Any] = json.loads(self.state_path.read_text())
        except FileNotFoundError:
            return {"alerts": [], "members": []}
        return found

    @property
    def registered(self) -> set[str]:
        return {member["name"] for member in self.state.get("members", []) if member["registered"]}

    def why(self, name: str) -> str:
        return next((str(m["why"]) for m in self.state.get("members", []) if m["name"] == name), "")

    async def acknowledged(self) -> None:
        """Until the registrar has taken up the last `write`."""
        await wait_until(lambda: self.state.get("seq") == self.seq, 10, what="the registrar reads the members file")


@contextlib.contextmanager
def registrar_rig(directory: Path, discovery: str, **settings: Any) -> Iterator[Rig]:
    """A rig whose registrar is not started yet, and is killed at the end."""
    directory.mkdir(exist_ok=True)
    rig = Rig(directory, discovery, **settings)
    try:
        yield rig
    finally:
        stop(rig.process)


@dataclass(slots=True)
class RouterProcess:
    """A real vllm-router from a command line of ours."""

    argv: Sequence[str]
    url: str
    log: Path
    metrics: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=log, env={**os.environ, "NO_PROXY": "*"})

    async def status(self, client: httpx.AsyncClient, path: str = "/health") -> int:
        """The status of a GET; 0 while nothing answers."""
        try:
            return (await client.get(self.url + path)).status_code
        except httpx.HTTPError:
            return 0

    async def listening(self, client: httpx.AsyncClient) -> None:
        async def answers() -> bool:
            return await self.status(client, "/liveness") == 200

        await wait_until(answers, 20, what=f"the router listens; {self.log}")

    async def serving(self, client: httpx.AsyncClient, deadline_s: float = 10) -> float:
        """Until the router has a prefill and a decode; seconds that took."""
        begun = time.monotonic()

        async def healthy() -> bool:
            return await self.status(client) == 200

        await wait_until(healthy, deadline_s, what=f"the router serves; {self.log}")
        return time.monotonic() - begun

    async def complete(self, client: httpx.AsyncClient, *, stream: bool = False) -> httpx.Response:
        """One completion, read whole."""
        body = {"model": "fake", "prompt": "hello", "max_tokens": 8, "stream": stream}
        return await client.post(f"{self.url}/v1/completions", json=body)


@dataclass(slots=True)
class Spread:
    """Sends requests one after the other until its block ends, so that a member in rotation cannot hide."""

    router: RouterProcess
    client: httpx.AsyncClient
    statuses: list[int] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Spread:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            self.statuses.append((await self.router.complete(self.client)).status_code)
            await asyncio.sleep(0.05)


def free_ports(count: int) -> list[int]:
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return sorted(found)
