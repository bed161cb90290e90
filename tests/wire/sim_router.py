"""A real vllm-router in discovery mode in front of simulated engines."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import wait_until
from tests.wire.sim_client import call
from tests.wire.sim_engines import Engine, free_block
from tests.wire.sim_zmtp import Heartbeats

ROUTER = Path(sys.executable).with_name("vllm-router")


@dataclass(frozen=True, slots=True)
class Router:
    """A running router; `port` is the clients', `metrics_port` Prometheus'."""

    port: int
    metrics_port: int
    log: Path

    async def metric(self, name: str) -> float:
        """The sum over a family's labels; 0 before it appeared."""
        text = (await call(self.metrics_port, "GET", "/metrics")).body.decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


@asynccontextmanager
async def routed(
    directory: Path,
    prefills: Sequence[Engine],
    decodes: Sequence[Engine],
    *,
    connector: str = "moriio",
    mode: str | None = None,
    dp_size: int = 1,
) -> AsyncIterator[Router]:
    """A router that knows these engines and answers /health with 200."""
    port, discovery, prometheus = free_block(1), free_block(1), free_block(1)
    command = [str(ROUTER), "--host", "127.0.0.1", "--port", str(port), "--vllm-pd-disaggregation"]
    command += ["--kv-connector", connector, "--vllm-discovery-address", f"127.0.0.1:{discovery}"]
    command += ["--policy", "round_robin", "--prometheus-host", "127.0.0.1", "--prometheus-port", str(prometheus)]
    members = [
        {
            "type": kind,
            "http_address": f"127.0.0.1:{engine.port}",
            "zmq_address": engine.zmq,
            "dp_size": dp_size,
            "tp_size": 1,
            **({"transfer_mode": mode} if mode else {}),
        }
        for kind, engines in (("P", prefills), ("D", decodes))
        for engine in engines
    ]
    log = directory / "router.log"
    process = _start(command, log)
    try:
        async with Heartbeats(discovery, members):
            router = Router(port, prometheus, log)
            await wait_until(lambda: _serving(router), 30, what="the router has its members")
            yield router
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait, 10)


def _start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as sink:
        return subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)


async def _serving(router: Router) -> bool:
    try:
        return (await call(router.port, "GET", "/health")).status == 200
    except OSError:
        return False
