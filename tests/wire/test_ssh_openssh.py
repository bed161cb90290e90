"""The same promises against a real OpenSSH server, run as a plain process with a configuration of its own."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from pdctl.errors import ConnectionLost, DeadlineExceeded, HostKeyChanged
from pdctl.model.deployment import NodeSpec
from pdctl.ssh.http import shell_http_client
from pdctl.ssh.pool import SshShells
from tests.waiting import free_port, wait_until
from tests.wire.ssh_server import host_key, listening, living_with_argument, node, user_key

_SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")

pytestmark = pytest.mark.skipif(_SSHD is None, reason="no OpenSSH server on this machine (sshd)")


@dataclass(frozen=True)
class Sshd:
    """A running sshd and a node that leads to it."""

    process: psutil.Process
    spec: NodeSpec

    def kill_sessions(self) -> None:
        """SIGKILL to the sshd processes behind every connection, as when the host dies under them."""
        for child in self.process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.name().startswith("sshd"):
                    child.kill()


@contextlib.asynccontextmanager
async def running(tmp_path: Path, *options: str) -> AsyncIterator[Sshd]:
    """sshd on a free port; it lets in the account that runs the tests, with our key only."""
    host_file, authorized, port = tmp_path / "host_key", tmp_path / "authorized_keys", free_port()
    host_file.write_bytes(host_key().export_private_key())
    host_file.chmod(0o600)
    authorized.write_bytes(user_key().export_public_key())
    config = tmp_path / "sshd_config"
    lines = [
        *options, f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {host_file}", f"AuthorizedKeysFile {authorized}",
        "StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
        "PermitRootLogin yes", "PidFile none", "PrintMotd no",
    ]  # fmt: skip
    config.write_text("".join(f"{line}\n" for line in lines))
    with (tmp_path / "sshd.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(_SSHD or "", "-D", "-e", "-f", str(config), stderr=log)
    root = psutil.Process(process.pid)
    try:
        await wait_until(
            lambda: process.returncode is not None or b"Server listening" in (tmp_path / "sshd.log").read_bytes(), 5
        )
        if process.returncode is not None:
            pytest.skip(f"sshd does not start here: {(tmp_path / 'sshd.log').read_text().strip()[-200:]}")
        spec = node(tmp_path, port)
        yield Sshd(root, replace(spec, ssh=replace(spec.ssh, user=getpass.getuser())))
    finally:
        for child in root.children(recursive=True) if process.returncode is None else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()


@contextlib.asynccontextmanager
async def shells_of(*specs: NodeSpec) -> AsyncIterator[SshShells]:
    shells = SshShells({spec.name: spec for spec in specs})
    try:
        yield shells
    finally:
        await shells.close()


async def test_commands_and_their_outcome(tmp_path: Path) -> None:
    async with running(tmp_path) as sshd, shells_of(sshd.spec) as shells:
        shell = shells.shell("n1")
        done = await shell.run(
            ["sh", "-c", "cat; echo $0 >&2; exit 3", "a 'b' $c"], deadline_s=10, stdin=b"x" * 300_000
        )
        assert (done.status, done.stdout, done.stderr) == (3, b"x" * 300_000, b"a 'b' $c\n")
        assert (await shell.run(["sh", "-c", "kill -9 $$"], deadline_s=10)).status == 137


async def test_a_changed_host_key(tmp_path: Path) -> None:
    async with running(tmp_path) as sshd:
        (tmp_path / "known_hosts").unlink()
        spec = node(tmp_path, sshd.spec.port, pinned=host_key("other"))
        async with shells_of(spec) as shells:
            with pytest.raises(HostKeyChanged):
                await shells.shell("n1").run(["true"], deadline_s=10)


async def test_the_far_side_is_gone_after_the_deadline(tmp_path: Path) -> None:
    mark = secrets.token_hex(8)
    async with running(tmp_path) as sshd, shells_of(sshd.spec) as shells:
        with pytest.raises(DeadlineExceeded):
            await shells.shell("n1").run(["sh", "-c", "sleep 60; true", mark], deadline_s=1)
        await wait_until(lambda: not living_with_argument(mark), 3)


@pytest.mark.parametrize("end", ["close", "lost"])
async def test_a_watched_stream_ends_on_the_node_when_we_are_gone(tmp_path: Path, end: str) -> None:
    mark = secrets.token_hex(8)
    async with running(tmp_path) as sshd, shells_of(sshd.spec) as shells:
        async with shells.shell("n1").stream(["sh", "-c", "echo up; sleep 60; true", mark]) as stream:
            lines = stream.lines()
            assert await anext(lines) == b"up"
            assert living_with_argument(mark)
            if end == "lost":
                sshd.kill_sessions()
                with pytest.raises(ConnectionLost):
                    await anext(lines)
        await wait_until(lambda: not living_with_argument(mark), 3)


async def test_the_session_is_killed_while_a_command_runs(tmp_path: Path) -> None:
    mark = secrets.token_hex(8)
    async with running(tmp_path) as sshd, shells_of(sshd.spec) as shells:
        shell = shells.shell("n1")
        command = asyncio.create_task(shell.run(["sh", "-c", "sleep 3; true", mark], deadline_s=5))
        await wait_until(lambda: living_with_argument(mark), 5)
        sshd.kill_sessions()
        with pytest.raises(ConnectionLost):
            await command
        assert (await shell.run(["echo", "back"], deadline_s=10)).stdout == b"back\n"


async def test_more_commands_than_max_sessions(tmp_path: Path) -> None:
    async with running(tmp_path, "MaxSessions 2") as sshd, shells_of(sshd.spec) as shells:
        shell = shells.shell("n1")
        results = await asyncio.gather(*(shell.run(["sleep", "0.1"], deadline_s=20) for _ in range(8)))
        assert all(done.status == 0 for done in results)


async def test_more_logins_at_once_than_max_startups(tmp_path: Path) -> None:
    async with running(tmp_path, "MaxStartups 2:100:2") as sshd:
        specs = [replace(sshd.spec, name=f"n{i}") for i in range(8)]
        async with shells_of(*specs) as shells:
            results = await asyncio.gather(*(shells.shell(spec.name).run(["true"], deadline_s=20) for spec in specs))
        assert all(done.status == 0 for done in results)


@pytest.mark.parametrize("forwarding", ["yes", "no"])
async def test_http_to_the_node(tmp_path: Path, forwarding: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with (
        running(tmp_path, f"AllowTcpForwarding {forwarding}") as sshd,
        listening(answer) as port,
        shells_of(sshd.spec) as shells,
        shell_http_client(shells.shell("n1"), base_url=f"http://127.0.0.1:{port}") as client,
    ):
        for _ in range(3):
            assert (await client.get("/")).text == "ok"


async def test_a_jump_host(tmp_path: Path) -> None:
    async with running(tmp_path) as sshd:
        jump = f"{sshd.spec.ssh.user}@127.0.0.1:{sshd.spec.port}"
        async with shells_of(replace(sshd.spec, ssh=replace(sshd.spec.ssh, jump=jump))) as shells:
            assert (await shells.shell("n1").run(["echo", "through"], deadline_s=10)).stdout == b"through\n"
