"""Fleets of simulated nodes for tests: started and owned by the test, and looked for after their end."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import psutil

from pdctl.control.demo_record import DemoNode, DemoNodes, read_nodes
from tests.waiting import patient

TAG = "PDCTL_TEST_TAG"

ESCAPING_DAEMON = """
import os, signal, socket, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        server = socket.create_server((sys.argv[1], 0))
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        with open(sys.argv[2] + ".new", "w") as file:
            file.write("%d %d" % (os.getpid(), server.getsockname()[1]))
        os.rename(sys.argv[2] + ".new", sys.argv[2])
        time.sleep(600)
    os._exit(0)
"""
"""Does all that a daemon can to get away: two forks, a session of its own, deaf to signals. argv: address, pid file."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A process that was started over SSH, and where it listens."""

    pid: int
    address: str
    port: int


@contextmanager
def running_fleet(directory: Path, *arguments: str) -> Iterator[tuple[DemoNodes, subprocess.Popen[bytes]]]:
    """A fleet that ends with this context."""
    log = directory.parent / f"{directory.name}.stderr"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "pdctl.sim.fleet", "--dir", str(directory), "--owner-fd", "0", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, TAG: str(directory)},
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n", log.read_text()
            nodes = read_nodes(directory)
            assert nodes is not None
            yield nodes, process
        finally:
            process.stdin.close()
            process.wait(20)


async def login(fleet: DemoNodes, node: DemoNode, *, key: str | None = None) -> asyncssh.SSHClientConnection:
    """A connection to one of the fleet's nodes, its host key checked."""
    return await asyncssh.connect(
        node.host,
        node.port,
        username="anyone",
        client_keys=[key or str(fleet.client_key)],
        known_hosts=str(fleet.known_hosts),
        config=None,
        agent_path=None,
        encoding=None,
    )


async def start_escaping_daemon(fleet: DemoNodes, node: DemoNode) -> Daemon:
    """Start such a daemon over SSH, without even the fleet's environment."""
    pid_file = Path(node.home, "daemon.pid")
    async with await login(fleet, node) as connection:
        python = f'env -i {sys.executable} -S -c "$(cat)" {node.data_address} {pid_file}'
        done = await connection.run(python, input=ESCAPING_DAEMON.encode())
        assert done.exit_status == 0, done.stderr
    pid, port = await asyncio.to_thread(_read_pid_file, pid_file)
    return Daemon(pid, node.data_address, port)


def _read_pid_file(path: Path) -> tuple[int, int]:
    eventually(path.exists, 10.0, "the daemon runs")
    pid, port = path.read_text().split()
    return int(pid), int(port)


def marked(tag: Path) -> list[str]:
    """Every live process with that path in its environment: the fleet, its nodes and their commands."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            if str(tag).encode() in environment and process.pid != os.getpid():
                found.append(f"{process.pid} {process.name()} {process.status()}")
        except (OSError, psutil.Error):
            continue
    return found


def alive(pid: int) -> bool:
    """Whether the process lives; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def port_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def eventually(holds: Callable[[], bool], deadline_s: float, what: str) -> None:
    """Wait until `holds`; fails with `what` after `patient(deadline_s)`."""
    end = time.monotonic() + patient(deadline_s)
    while not holds():
        assert time.monotonic() < end, f"not within {patient(deadline_s):g} s: {what}"
        time.sleep(0.01)
