"""The keeper of fanout_hosts.py: starts SSH servers, says where they are, and takes all away when its stdin ends.

    python benchmarks/fanout_keeper.py SERVERS ADDRESSES

The end of stdin is also what a SIGKILL of the benchmark comes to, so that leaves nothing either. A SIGKILL of the
keeper itself kills the servers (PR_SET_PDEATHSIG by setpriv), and leaves its directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncssh
import psutil
from fanout_hosts import SSHD, address

PRIVSEP = Path("/run/sshd")  # sshd wants this empty directory when root starts it
START_LIMIT_S = 60.0


def keep(servers: int, addresses: int) -> None:
    """Start the servers, say where they are, wait for the end of stdin, and leave nothing."""
    for number in (signal.SIGINT, signal.SIGHUP):  # a Ctrl-C is the benchmark's, which then closes our stdin
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    made_privsep = os.geteuid() == 0 and not PRIVSEP.exists()
    if made_privsep:
        PRIVSEP.mkdir(mode=0o755)
    running: list[subprocess.Popen[bytes]] = []
    directory = Path(tempfile.mkdtemp(prefix="pdctl-fanout-"))
    (directory / "client").mkdir()
    try:
        port = free_port()
        write_keys(directory, servers, addresses, port)
        for server in range(servers):
            running.append(start(directory, server))  # noqa: PERF401 (those started before a failure have to end)
        wait_until_listening(running, addresses, port)
        print(json.dumps({"directory": str(directory), "port": port, "pids": [one.pid for one in running]}), flush=True)
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
    (directory / "home").mkdir()
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
            # A home of its own: bash reads ~/.bashrc under sshd, and an account's may cost more than all the rest.
            f"SetEnv HOME={directory}/home\n"
        )
    (directory / "known_hosts").write_text("\n".join(known) + "\n")


def write_private(path: Path, key: asyncssh.SSHKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.export_private_key())


def start(directory: Path, server: int) -> subprocess.Popen[bytes]:
    """A server that dies with the keeper. It stays our child through setpriv's exec."""
    with (directory / "sshd.log").open("ab") as log:
        return subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                SSHD or "sshd",
                "-D",
                "-e",
                "-f",
                str(directory / f"sshd_{server}.conf"),
            ],
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
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for one in running:
        one.wait()


if __name__ == "__main__":
    keep(int(sys.argv[1]), int(sys.argv[2]))
