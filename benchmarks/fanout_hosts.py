"""Many real OpenSSH servers on loopback for a benchmark: made here, and gone however the benchmark ends.

    with hosting(256) as fleet: ...

A keeper process of its own (fanout_keeper.py) starts the servers and holds the directory with their keys. It ends,
and takes both with it, when its stdin does.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
KEEPER = Path(__file__).with_name("fanout_keeper.py")
END_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Running servers. All listen on `port`; host i is `addresses[i]`, served by `pids[i % len(pids)]`."""

    directory: Path
    port: int
    addresses: tuple[str, ...]
    pids: tuple[int, ...]
    user: str

    @property
    def identity(self) -> Path:
        """The private key that every host lets in."""
        return self.directory / "id_ed25519"

    @property
    def client(self) -> Path:
        """A directory for whatever the tools are given and leave; it goes with the servers."""
        return self.directory / "client"

    @property
    def known_hosts(self) -> Path:
        """Every host's true key."""
        return self.directory / "known_hosts"

    def processes(self, host: int, *, listener: bool = True) -> list[psutil.Process]:
        """The server's processes: its sessions', those that run commands in them, and the listener."""
        server = psutil.Process(self.pids[host % len(self.pids)])
        return server.children(recursive=True) + ([server] if listener else [])


def address(host: int) -> str:
    """An address of 127.0.0.0/8 for each host: Linux takes them all as loopback without being told."""
    return f"127.90.{host // 250}.{host % 250 + 1}"


@contextlib.contextmanager
def hosting(servers: int, addresses: int = 0) -> Iterator[Fleet]:
    """`servers` servers on `addresses` addresses (at least one each). Raises RuntimeError where sshd does not start."""
    addresses = max(servers, addresses)
    keeper = subprocess.Popen(
        [sys.executable, str(KEEPER), str(servers), str(addresses)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        line = keeper.stdout.readline()
        if not line:
            raise RuntimeError("the SSH servers did not start")
        said = json.loads(line)
        names = tuple(address(host) for host in range(addresses))
        yield Fleet(Path(said["directory"]), said["port"], names, tuple(said["pids"]), getpass.getuser())
    finally:
        keeper.stdin.close()
        keeper.wait(END_LIMIT_S)
