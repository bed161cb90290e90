"""Many real OpenSSH servers on loopback for a benchmark: made here, and gone however the benchmark ends.

    with hosting(256) as fleet: ...

A keeper process of its own starts the servers and holds the directory with their keys. It ends, and takes both with
it, when its stdin does: even a SIGKILL of the benchmark leaves nothing. A SIGKILL of the keeper kills the servers
(PR_SET_PDEATHSIG), which end their sessions' users.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import psutil

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
PRIVSEP = Path("/run/sshd")  # sshd wants this empty directory when root starts it
START_LIMIT_S = 60.0
END_LIMIT_S = 20.0


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
        [sys.executable, __file__, str(servers), str(addresses)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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


def keep(servers: int, addresses: int) -> None:
    """The keeper: start the servers, say where they are, wait for the end of stdin, and leave nothing."""
    for number in (signal.SIGINT, signal.SIGHUP):  # a Ctrl-C is the benchmark's, which then closes our stdin
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    made_privsep = os.geteuid() == 0 and not PRIVSEP.exists()
    if made_privsep:
        PRIVSEP.mkdir(mode=0o755)
    running: list[subprocess.Popen[bytes]] = []
    directory = Path(tempfile.mkdtemp(prefix="pdctl-fanout-"))
    try:
        port = free_port()
        write_keys(directory, servers, addresses, port)
        for server in range(servers):
            running.append(start(directory, server))
        wait_until_listening(running, addresses, port)
        print(
            json.dumps({"directory": str(directory), "port": port, "pids": [one.pid for one in running]}), flush=True
        )
        sys.stdin.buffer.read()
    finally:
        end(running)
        shutil.rmtree(directory, ignore_errors=True)
        if made_privsep:
            PRIVSEP.rmdir()


def free_port() -> int:
    """A port that is free on the first address now; the others are hardly anybody's."""
    with socket.socket() as probe:
        probe.bind((address(0), 0))
        return int(probe.getsockname()[1])


def write_keys(directory: Path, servers: int, addresses: int, port: int) -> None:
    """One ed25519 key for the user, one for each server, and what sshd and its clients read of them."""
    user = asyncssh.generate_private_key("ssh-ed25519")
    write_private(directory / "id_ed25519", user)
    (directory / "authorized_keys").write_bytes(user.export_public_key())
    known = []
    for server in range(servers):
        key = asyncssh.generate_private_key("ssh-ed25519")
        own = [address(host) for host in range(server, addresses, servers)]
        write_private(directory / f"host_{server}", key)
        known.append(",".join(f"[{one}]:{port}" for one in own) + " " + key.export_public_key().decode().strip())
        (directory / f"sshd_{server}.conf").write_text(
            "".join(f"ListenAddress {one}:{port}\n" for one in own)
            + f"HostKey {directory}/host_{server}\nAuthorizedKeysFile {directory}/authorized_keys\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin yes\nPidFile none\nPrintMotd no\nUseDNS no\nMaxStartups 1000\nLogLevel ERROR\n"
        )
    (directory / "known_hosts").write_text("\n".join(known) + "\n")


def write_private(path: Path, key: asyncssh.SSHKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.export_private_key())


def start(directory: Path, server: int) -> subprocess.Popen[bytes]:
    """A server that dies with the keeper. It stays our child through setpriv's exec."""
    with (directory / "sshd.log").open("ab") as log:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", SSHD or "sshd", "-D", "-e", "-f", str(directory / f"sshd_{server}.conf")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def wait_until_listening(running: list[subprocess.Popen[bytes]], addresses: int, port: int) -> None:
    """Raises RuntimeError for a server that ended, or took too long."""
    deadline = time.monotonic() + START_LIMIT_S
    for host in range(addresses):
        while True:
            if running[host % len(running)].poll() is not None:
                raise RuntimeError(f"sshd {host % len(running)} ended at once")
            with contextlib.suppress(OSError), socket.create_connection((address(host), port), timeout=1):
                break
            if time.monotonic() > deadline:
                raise RuntimeError("the SSH servers did not start listening")
            time.sleep(0.02)


def end(running: list[subprocess.Popen[bytes]]) -> None:
    """Kill every server and all that runs in its sessions."""
    for one in running:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(one.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        one.kill()
    for one in running:
        one.wait()


if __name__ == "__main__":
    keep(int(sys.argv[1]), int(sys.argv[2]))
