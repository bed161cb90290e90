"""Simulated engines as processes of their own, for tests: started, awaited, and always killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.waiting import wait_until
from tests.wire.sim_client import call, metrics

QUICK = {"PDCTL_SIM_STARTUP_S": "0", "PDCTL_SIM_PROFILE": "fast", "PDCTL_SIM_KV_LATENCY_S": "0.001"}


# Above what fleets plan for their first launches and below the range of outgoing connections; a part of it for every
# test process, for two that look for free ports at one time would find the same.
_FIRST, _END, _PARTS = 24_000, 32_768, 8
_PART = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PARTS
_SIZE = (_END - _FIRST) // _PARTS
_offsets = itertools.count(random.randrange(_SIZE))


def free_block(count: int) -> int:
    """The first of `count` neighbouring free ports that nobody was given lately."""
    while True:
        offset = next(_offsets) % _SIZE
        if offset + count > _SIZE:
            continue
        for _ in range(count - 1):
            next(_offsets)
        first = _FIRST + _PART * _SIZE + offset
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("0.0.0.0", port))
        except OSError:
            continue
        return first


@dataclass(slots=True)
class Engine:
    """One engine process."""

    port: int
    log: Path
    process: subprocess.Popen[bytes]
    handshake: int = 0
    notify: int = 0
    side_channel: int = 0

    @property
    def zmq(self) -> str:
        """What the router calls zmq_address; for NIXL that is the side channel."""
        if self.side_channel:
            return f"127.0.0.1:{self.side_channel}"
        return f"host:127.0.0.1,handshake:{self.handshake},notify:{self.notify}"

    async def ready(self, deadline_s: float = 15.0) -> None:
        await wait_until(self._answers, deadline_s, what=f"engine on port {self.port}: {self.log.read_text()[-800:]}")

    async def _answers(self) -> bool:
        assert self.process.poll() is None, f"ended at its start:\n{self.log.read_text()}"
        try:
            return (await call(self.port, "GET", "/health")).status == 200
        except OSError:
            return False

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to all of it, workers first."""
        leader = psutil.Process(self.process.pid)
        for each in [*reversed(leader.children(recursive=True)), leader]:
            with suppress(psutil.NoSuchProcess):
                each.kill()

    def worker(self) -> psutil.Process:
        """The first of its worker processes."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if child.name() == "VLLM::Worker")

    async def ended(self, deadline_s: float = 10.0) -> int:
        """The exit status, once it has ended."""
        await wait_until(lambda: self.process.poll() is not None, deadline_s, what="the engine ends")
        return int(self.process.returncode)

    async def idle(self, deadline_s: float = 5.0) -> None:
        """Wait until nothing runs, waits, or holds KV."""

        async def quiet() -> bool:
            seen = await metrics(self.port)
            return not any(
                value
                for name, value in seen.items()
                if name.startswith(("vllm:num_requests_", "vllm:kv_cache_usage_perc", "pdctl_sim_kv_pinned"))
            )

        await wait_until(quiet, deadline_s, what=f"engine on port {self.port} is idle")

    async def fault(self, name: str, **more: Any) -> None:
        assert (await call(self.port, "POST", "/sim/faults", {"fault": name, **more})).status == 200


def _start(command: Sequence[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as sink:
        return subprocess.Popen(command, stdout=sink, stderr=sink, env=env)


@asynccontextmanager
async def engine(
    directory: Path, *flags: str, env: Mapping[str, str] | None = None, wait: bool = True, port: int = 0
) -> AsyncIterator[Engine]:
    """An engine on a free port, killed at the end of the block; with `wait` it is ready when the block begins."""
    port = port or free_block(1)
    log = directory / f"engine-{port}.log"
    command = [sys.executable, "-m", "pdctl.sim.engine", "serve", "/models/tiny", "--served-model-name", "tiny"]
    command += ["--host", "127.0.0.1", "--port", str(port), *flags]
    process = _start(command, log, {**os.environ, **QUICK, **(env or {})})
    found = Engine(port, log, process)
    try:
        if wait:
            await found.ready()
        yield found
    finally:
        if process.poll() is None:
            process.kill()
        await asyncio.to_thread(process.wait, 10)


@asynccontextmanager
async def moriio_engine(
    directory: Path,
    role: str,
    *flags: str,
    read: bool = False,
    env: Mapping[str, str] | None = None,
    wait: bool = True,
    handshake: int = 0,
    notify: int = 0,
) -> AsyncIterator[Engine]:
    """A MoRI-IO engine of role "prefill" or "decode"."""
    port, handshake, notify = free_block(1), handshake or free_block(4), notify or free_block(4)
    extra = {
        "proxy_ip": "",
        "http_port": port,
        "handshake_port": handshake,
        "notify_port": notify,
        "host_ip": "127.0.0.1",
        "read_mode": read,
    }
    config = {
        "kv_connector": "MoRIIOConnector",
        "kv_role": "kv_producer" if role == "prefill" else "kv_consumer",
        "kv_connector_extra_config": extra,
    }
    transfer = ("--kv-transfer-config", json.dumps(config))
    async with engine(directory, *flags, *transfer, env=env, wait=wait, port=port) as found:
        found.handshake, found.notify = handshake, notify
        yield found
