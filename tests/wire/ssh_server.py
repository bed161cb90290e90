"""SSH servers for tests: one inside the test's process, with faults on request, and a gate to put before any server.

Commands really run, by /bin/sh, each in a session of its own; what is left of them is killed when the server ends.
Like sshd, the server ends a command's stdin when its client goes, and does nothing else to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TypeAlias

import asyncssh

from pdctl.model.deployment import NodeSpec, SshSettings
from pdctl.ssh.hostkeys import pin, public_line

USER = "ops"
Answer: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@cache
def host_key(name: str = "host") -> asyncssh.SSHKey:
    """A host key; another name, another key."""
    return asyncssh.generate_private_key("ssh-ed25519", comment=name)


@cache
def user_key(name: str = "operator") -> asyncssh.SSHKey:
    """A key to log in with; servers take the one of the default name only."""
    return asyncssh.generate_private_key("ssh-ed25519", comment=name)


@dataclass
class SshServer:
    """What one server does and has seen. Change the first group before or while it runs."""

    host_key: asyncssh.SSHKey = field(default_factory=host_key)
    host_certificate: asyncssh.SSHCertificate | None = None
    shell: tuple[str, ...] = ("/bin/sh",)  # the account's login shell
    profile: str = ""  # shell text that runs before every command, as a bashrc does
    banner: str = ""
    max_sessions: int = 10
    forwarding: bool = True
    login_delay_s: float = 0.0

    port: int = 0
    commands: list[str] = field(default_factory=list)
    logins: int = 0
    refused_sessions: int = 0
    most_sessions: int = 0
    connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)
    sessions: int = 0
    children: list[int] = field(default_factory=list)
    running: set[asyncio.subprocess.Process] = field(default_factory=set)

    def cut(self) -> None:
        """Drop every connection at once, as a reboot does."""
        for connection in list(self.connections):
            connection.abort()

    def kill_children(self) -> None:
        """Kill every process of every session that a command was started in."""
        for pid in living_in_sessions(set(self.children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class _Owner(asyncssh.SSHServer):
    def __init__(self, server: SshServer) -> None:
        self._server = server
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._server.connections.discard(self._connection)

    async def begin_auth(self, username: str) -> bool:
        self._server.logins += 1
        await asyncio.sleep(self._server.login_delay_s)
        if self._server.banner and self._connection is not None:
            self._connection.send_auth_banner(self._server.banner)
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and key == user_key().convert_to_public()

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        if self._server.sessions >= self._server.max_sessions:
            self._server.refused_sessions += 1
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
        self._server.sessions += 1
        self._server.most_sessions = max(self._server.most_sessions, self._server.sessions)
        return asyncssh.SSHServerProcess(self._handle, None, 3, False)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        if not self._server.forwarding:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        return True

    async def _handle(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        server = self._server
        server.commands.append(process.command or "")
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *server.shell, "-c", f"{server.profile}\n{process.command}",
            stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True,
        )  # fmt: skip
        server.children.append(child.pid)
        server.running.add(child)
        uploading = asyncio.create_task(_upload(process, child))
        try:
            await asyncio.gather(_download(child.stdout, process.stdout), _download(child.stderr, process.stderr))
            status = await child.wait()
            server.running.discard(child)
            with contextlib.suppress(OSError):
                if status < 0:
                    process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
                else:
                    process.exit(status)
            await process.wait_closed()
        finally:
            server.sessions -= 1
            uploading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await uploading


async def _upload(process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> None:
    assert child.stdin is not None
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await process.stdin.read(65536):
            child.stdin.write(data)
            await child.stdin.drain()
    child.stdin.close()


async def _download(reader: asyncio.StreamReader | None, writer: asyncssh.SSHWriter[bytes]) -> None:
    assert reader is not None
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def serving(server: SshServer | None = None) -> AsyncIterator[SshServer]:
    """A server on a free loopback port."""
    server = server or SshServer()
    keys: list[object] = [server.host_key]
    if server.host_certificate is not None:
        keys = [(server.host_key, server.host_certificate)]
    acceptor = await asyncssh.create_server(
        lambda: _Owner(server),
        "127.0.0.1",
        0,
        server_host_keys=keys,
        encoding=None,
        agent_forwarding=False,
        gss_host=None,
        keepalive_interval=0,
    )
    server.port = acceptor.get_port()
    try:
        yield server
    finally:
        server.kill_children()
        for child in list(server.running):
            await child.wait()
        acceptor.close()
        server.cut()
        await acceptor.wait_closed()


@dataclass
class Gate:
    """A TCP relay before a server. `resets` connections are reset at once; `hold` stops all bytes; `cut` resets."""

    target: int
    port: int = 0
    resets: int = 0
    accepted: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def hold(self) -> None:
        """From now on nothing passes, and nobody is told: a frozen host, or a cable that was pulled."""
        self.open.clear()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self.writers:
            _reset(writer)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.accepted <= self.resets:
            _reset(writer)
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers += [writer, there_writer]
        await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self.open.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.asynccontextmanager
async def gated(target: int, *, resets: int = 0) -> AsyncIterator[Gate]:
    """A gate before a port of ours, open at first."""
    gate = Gate(target, resets=resets)
    gate.open.set()
    async with listening(gate.accept) as port:
        gate.port = port
        try:
            yield gate
        finally:
            gate.cut()


@contextlib.asynccontextmanager
async def listening(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """The port of a TCP server whose connections are answered like this; none of them outlives it."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await answer(reader, writer)
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(one(reader, writer)))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def node(
    tmp_path: Path, port: int, *, name: str = "n1", pinned: asyncssh.SSHKey | None = None, **settings: object
) -> NodeSpec:
    """A node on loopback that we can log in to, its host key pinned in `tmp_path`/known_hosts.

    `settings` are those of SshSettings. `pinned` is another key than the servers' usual one, or use `unpinned`.
    """
    key = host_key() if pinned is None else pinned
    pin(tmp_path / "known_hosts", "127.0.0.1", port, public_line(key))
    return unpinned(tmp_path, port, name=name, **settings)


def unpinned(tmp_path: Path, port: int, *, name: str = "n1", **settings: object) -> NodeSpec:
    """A node whose host key nobody has pinned."""
    identity = tmp_path / "id_ed25519"
    if not identity.exists():
        identity.write_bytes(user_key().export_private_key())
        identity.chmod(0o600)
    ssh = SshSettings(
        user=USER, identity=str(identity), known_hosts=str(tmp_path / "known_hosts"), connect_timeout_s=5.0
    )
    return NodeSpec(
        name=name, host="127.0.0.1", port=port, data_address="127.0.0.1", gpu="mi300x", gpus=8, nics=0,
        ssh=replace(ssh, **settings),  # type: ignore[arg-type]
    )  # fmt: skip


def living_in_sessions(leaders: set[int]) -> list[int]:
    """The processes, zombies aside, of the sessions that these pids lead or led."""
    return _processes(lambda pid: os.getsid(pid) in leaders)


def living_with_argument(argument: str) -> list[int]:
    """The processes that have this argument: give commands a unique one to find them again."""
    wanted = argument.encode()
    return _processes(lambda pid: wanted in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))


def _processes(chosen: Callable[[int], bool]) -> list[int]:
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                pid = int(entry.name)
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z" and chosen(pid):
                    pids.append(pid)
    return pids
