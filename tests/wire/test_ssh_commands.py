"""Commands over a held connection: what comes back, what a fault becomes, and what stays behind on the node."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pdctl.errors import CommandFailed, ConnectionLost, DeadlineExceeded, Unreachable, UsageError
from pdctl.ssh.pool import SshShells
from pdctl.ssh.program import NodeProgram, run_program
from pdctl.ssh.shell import MAX_SESSIONS, SshShell
from tests.waiting import wait_until
from tests.wire.ssh_server import SshServer, gated, living_with_argument, node, serving


@contextlib.asynccontextmanager
async def shell_on(tmp_path: Path, server: SshServer | None = None) -> AsyncIterator[tuple[SshShell, SshServer]]:
    async with serving(server) as running:
        shells = SshShells({"n1": node(tmp_path, running.port)})
        try:
            yield shells.shell("n1"), running
        finally:
            await shells.close()


async def test_status_output_and_stdin(tmp_path: Path) -> None:
    async with shell_on(tmp_path) as (shell, _):
        done = await shell.run(["sh", "-c", "cat; echo two words >&2; exit 3"], deadline_s=5, stdin=b"in\0put")
    assert (done.status, done.stdout, done.stderr) == (3, b"in\0put", b"two words\n")
    assert not done.truncated and done.noise == b""


async def test_concurrent_first_users_share_one_login(tmp_path: Path) -> None:
    async with shell_on(tmp_path) as (shell, server):
        results = await asyncio.gather(*(shell.run(["echo", str(i)], deadline_s=10) for i in range(30)))
        assert [done.stdout for done in results] == [b"%d\n" % i for i in range(30)]
        assert server.logins == 1
        assert 1 < server.most_sessions <= MAX_SESSIONS


async def test_a_caller_that_gives_up_does_not_stop_the_dial_for_the_others(tmp_path: Path) -> None:
    async with shell_on(tmp_path, SshServer(login_delay_s=0.3)) as (shell, server):
        patient = asyncio.create_task(shell.run(["true"], deadline_s=10))
        with pytest.raises(Unreachable):
            await shell.run(["true"], deadline_s=0.05)
        assert (await patient).status == 0
        assert server.logins == 1


async def test_banner_and_noisy_profile(tmp_path: Path) -> None:
    noise = "echo 'Welcome to node 1!'; printf 'no newline'; echo oops >&2"
    async with shell_on(tmp_path, SshServer(profile=noise, banner="AUTHORISED USE ONLY\n")) as (shell, _):
        done = await shell.run(["sh", "-c", "echo out; echo err >&2"], deadline_s=5)
        assert (done.status, done.stdout, done.stderr) == (0, b"out\n", b"err\n")
        assert done.noise == b"Welcome to node 1!\nno newlineoops\n"
        async with shell.stream(["echo", "first"]) as stream:
            assert [line async for line in stream.lines()] == [b"first"]


async def test_a_login_shell_that_runs_nothing(tmp_path: Path) -> None:
    nologin = "echo 'This account is currently not available.'; exit 1"
    async with shell_on(tmp_path, SshServer(profile=nologin)) as (shell, _):
        with pytest.raises(CommandFailed, match="did not run our command: This account is currently not available"):
            await shell.run(["true"], deadline_s=5)
        with pytest.raises(CommandFailed, match="This account is currently not available"):
            async with shell.stream(["true"]):
                pass


async def test_a_profile_that_hangs(tmp_path: Path) -> None:
    async with shell_on(tmp_path, SshServer(profile="sleep 60")) as (shell, _):
        with pytest.raises(DeadlineExceeded):
            await shell.run(["true"], deadline_s=0.3)


async def test_megabytes_of_output_are_capped(tmp_path: Path) -> None:
    async with shell_on(tmp_path) as (shell, _):
        done = await shell.run(["head", "-c", "20000000", "/dev/zero"], deadline_s=30, max_bytes=1000)
        assert (done.status, done.stdout, done.truncated) == (0, bytes(1000), True)


async def test_bad_utf8_comes_through_raw(tmp_path: Path) -> None:
    async with shell_on(tmp_path) as (shell, _):
        done = await shell.run(["printf", r"\377\033[31mred"], deadline_s=5)
    assert done.stdout == b"\xff\x1b[31mred"


async def test_killed_by_a_signal(tmp_path: Path) -> None:
    async with shell_on(tmp_path) as (shell, _):
        assert (await shell.run(["sh", "-c", "kill -9 $$"], deadline_s=5)).status == 137


async def test_connection_cut_while_a_command_runs(tmp_path: Path) -> None:
    """asyncssh itself returns normally here, with no exit status."""
    async with shell_on(tmp_path) as (shell, server):
        running = asyncio.create_task(shell.run(["sleep", "60"], deadline_s=30))
        await wait_until(lambda: server.sessions == 1, 5)
        server.cut()
        with pytest.raises(ConnectionLost):
            await running
        # and the next call dials again
        assert (await shell.run(["echo", "back"], deadline_s=5)).stdout == b"back\n"
        assert server.logins == 2


async def test_connection_cut_while_a_stream_runs(tmp_path: Path) -> None:
    async with shell_on(tmp_path) as (shell, server), shell.stream(["sh", "-c", "echo up; sleep 60"]) as stream:
        lines = stream.lines()
        assert await anext(lines) == b"up"
        server.cut()
        with pytest.raises(ConnectionLost):
            await anext(lines)
        with pytest.raises(ConnectionLost):
            await stream.wait()


async def test_connection_cut_between_commands(tmp_path: Path) -> None:
    async with shell_on(tmp_path) as (shell, server):
        for logins in (1, 2, 3):
            assert (await shell.run(["true"], deadline_s=5)).status == 0
            assert server.logins == logins
            server.cut()


async def test_a_server_that_stops_answering_is_noticed_by_keepalive(tmp_path: Path) -> None:
    async with serving() as server, gated(server.port) as gate:
        shells = SshShells({"n1": node(tmp_path, gate.port, keepalive_s=0.1, keepalive_count=3)})
        async with shells.shell("n1").stream(["sh", "-c", "echo up; sleep 60"]) as stream:
            lines = stream.lines()
            assert await anext(lines) == b"up"
            started = time.monotonic()
            gate.hold()
            with pytest.raises(ConnectionLost):
                await anext(lines)
            assert time.monotonic() - started < 0.1 * 3 + 1
        await shells.close()


async def test_a_deadline_holds_on_a_connection_that_is_silently_dead(tmp_path: Path) -> None:
    """asyncssh's own `run(timeout=)` hangs here."""
    async with serving() as server, gated(server.port) as gate:
        shells = SshShells({"n1": node(tmp_path, gate.port)})
        shell = shells.shell("n1")
        await shell.run(["true"], deadline_s=5)
        gate.hold()
        with pytest.raises(DeadlineExceeded):
            await shell.run(["true"], deadline_s=0.2)
        await asyncio.wait_for(shells.close(), 3)


async def test_the_far_side_is_gone_after_the_deadline(tmp_path: Path) -> None:
    mark = secrets.token_hex(8)
    async with shell_on(tmp_path) as (shell, _):
        with pytest.raises(DeadlineExceeded, match="sh took longer than 1 s"):
            await shell.run(["sh", "-c", "sleep 60; true", mark], deadline_s=1)
        await wait_until(lambda: not living_with_argument(mark), 3, what="the command is stopped by its own timeout")


async def test_the_far_side_is_gone_after_the_deadline_though_it_ignores_sigterm(tmp_path: Path) -> None:
    mark = secrets.token_hex(8)
    async with shell_on(tmp_path) as (shell, _):
        with pytest.raises(DeadlineExceeded):
            await shell.run(["sh", "-c", "trap '' TERM; while :; do sleep 1; done", mark], deadline_s=1)
        assert living_with_argument(mark)
        await wait_until(lambda: not living_with_argument(mark), 8, what="SIGKILL follows SIGTERM")


async def test_a_cancelled_command_does_not_outlive_its_deadline(tmp_path: Path) -> None:
    mark = secrets.token_hex(8)
    async with shell_on(tmp_path) as (shell, server):
        running = asyncio.create_task(shell.run(["sh", "-c", "sleep 60; true", mark], deadline_s=1))
        await wait_until(lambda: living_with_argument(mark), 5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await wait_until(lambda: not living_with_argument(mark), 5)
        assert (await shell.run(["true"], deadline_s=5)).status == 0
        assert server.logins == 1


@pytest.mark.parametrize("login_shell", ["sh", "dash", "bash", "busybox sh", "ksh", "zsh"])
@pytest.mark.parametrize("end", ["close", "cut"])
async def test_a_watched_stream_ends_on_the_node_when_we_are_gone(tmp_path: Path, end: str, login_shell: str) -> None:
    name, *arguments = login_shell.split()
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on this machine")
    mark = secrets.token_hex(8)
    async with shell_on(tmp_path, SshServer(shell=(found, *arguments))) as (shell, server):
        async with shell.stream(["sh", "-c", "echo up; sleep 60; true", mark]) as stream:
            assert await anext(stream.lines()) == b"up"
            assert living_with_argument(mark)
            if end == "cut":
                server.cut()
        await wait_until(lambda: not living_with_argument(mark), 3, what="the watcher stops it")


async def test_a_watched_stream_that_ends_by_itself(tmp_path: Path) -> None:
    async with shell_on(tmp_path) as (shell, server):
        async with shell.stream(["sh", "-c", "echo one; echo why >&2; printf two; exit 7"]) as stream:
            assert [line async for line in stream.lines()] == [b"one", b"two"]
            assert await stream.wait() == 7
            assert stream.stderr == b"why\n"
            with pytest.raises(UsageError):
                await stream.send(b"x")
        await wait_until(lambda: server.sessions == 0, 3)


async def test_a_stream_is_a_conversation(tmp_path: Path) -> None:
    async with shell_on(tmp_path) as (shell, _), shell.stream(["cat"], watch_stdin=False) as stream:
        lines = stream.lines()
        for word in (b"a", b"b"):
            await stream.send(word + b"\n")
            assert await anext(lines) == word


async def test_lines_of_a_stream_are_bounded_and_stderr_does_not_block_it(tmp_path: Path) -> None:
    script = "head -c 4000000 /dev/zero >&2; head -c 200000 /dev/zero | tr '\\0' x; echo; echo end"
    async with shell_on(tmp_path) as (shell, _), shell.stream(["sh", "-c", script]) as stream:
        lines = [line async for line in stream.lines()]
    assert lines[-1] == b"end"
    assert max(map(len, lines)) <= 65536
    assert sum(map(len, lines[:-1])) == 200_000


async def test_more_commands_than_the_server_takes_sessions(tmp_path: Path) -> None:
    async with shell_on(tmp_path, SshServer(max_sessions=2)) as (shell, server):
        results = await asyncio.gather(*(shell.run(["sleep", "0.05"], deadline_s=20) for _ in range(8)))
        assert all(done.status == 0 for done in results)
        assert server.refused_sessions > 0
        assert server.logins == 1


async def test_a_server_without_a_free_session_before_the_deadline(tmp_path: Path) -> None:
    async with shell_on(tmp_path, SshServer(max_sessions=0)) as (shell, _):
        with pytest.raises(DeadlineExceeded):
            await shell.run(["true"], deadline_s=0.3)


async def test_streams_leave_room_for_commands(tmp_path: Path) -> None:
    async with shell_on(tmp_path) as (shell, _), contextlib.AsyncExitStack() as held:
        for _ in range(6):
            await held.enter_async_context(shell.stream(["sleep", "60"]))
        assert (await shell.run(["true"], deadline_s=5)).status == 0


async def test_a_secret_is_in_no_argv(tmp_path: Path) -> None:
    """And this test can fail: the same search finds the same secret when it is an argument."""
    secret = secrets.token_hex(8)
    source = "def main(payload):\n    import time\n    time.sleep(0.5)\n    return {'length': len(payload['token'])}\n"
    async with shell_on(tmp_path) as (shell, server):
        running = asyncio.create_task(
            run_program(shell, NodeProgram("sleeper", source), {"token": secret}, deadline_s=10)
        )
        await wait_until(lambda: server.sessions == 1, 5)
        while not running.done():
            assert not living_with_argument(secret)
            await asyncio.sleep(0.05)
        assert await running == {"length": 16}
        assert all(secret not in command for command in server.commands)
        careless = asyncio.create_task(shell.run(["sh", "-c", "sleep 1", secret], deadline_s=10))
        await wait_until(lambda: living_with_argument(secret), 5)
        await careless


@pytest.mark.parametrize(("there", "cause"), [("timeout", "python3 is not installed"), ("cat", "no `timeout`")])
async def test_a_node_without_python_or_timeout(tmp_path: Path, there: str, cause: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / there).symlink_to(shutil.which(there) or "")
    async with shell_on(tmp_path, SshServer(profile=f"PATH={tmp_path}/bin")) as (shell, _):
        with pytest.raises(CommandFailed, match=cause):
            await run_program(shell, NodeProgram("p", "def main(payload): return {}"), {}, deadline_s=5)


async def test_a_held_connection_costs_little(tmp_path: Path) -> None:
    """Client and server share this process, so the bound is a loose one; benchmarks/ssh_fanout.py measures."""
    async with shell_on(tmp_path) as (shell, _):
        await shell.run(["true"], deadline_s=5)
        started = time.process_time()
        for _ in range(50):
            await shell.run(["true"], deadline_s=5)
        assert (time.process_time() - started) / 50 < 0.02


async def test_closing_the_shells_twice_and_without_use(tmp_path: Path) -> None:
    async with serving() as server:
        shells = SshShells({"n1": node(tmp_path, server.port)})
        await shells.close()
        await shells.shell("n1").run(["true"], deadline_s=5)
        await shells.close()
        await shells.close()
