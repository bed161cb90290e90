"""Commands as root: what is asked of sudo, and what becomes of its refusals."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pdctl.errors import CommandFailed, DeadlineExceeded
from pdctl.ssh.fake import FakeShell
from pdctl.ssh.local import LocalShell
from pdctl.ssh.sudo import SudoShell, as_root


def refusing(message: str, login: bytes = b"ops\n") -> SudoShell:
    shell = FakeShell("n1")
    shell.answer(["env"], stderr=f"Welcome!\n{message}\n".encode(), status=1)
    shell.answer(["id", "-un"], stdout=login)
    return SudoShell(shell)


@pytest.mark.parametrize(
    ("said", "cause", "line"),
    [
        ("sudo: a password is required", "wants a password", "ops ALL=(root) NOPASSWD: ALL"),
        ("sudo: sorry, you must have a tty to run sudo", "requiretty", "Defaults:ops !requiretty"),
        ("ops is not in the sudoers file.", "not in sudoers", "ops ALL=(root) NOPASSWD: ALL"),
        (
            "Sorry, user ops is not allowed to execute '/usr/bin/timeout' as root on n1.",
            "does not let",
            "ops ALL=(root) NOPASSWD: ALL",
        ),
        ("sh: 1: exec: sudo: not found", "not installed", "ops ALL=(root) NOPASSWD: ALL"),
    ],
)
async def test_a_refusal_of_sudo_is_one_line_with_the_sudoers_line_that_is_missing(
    said: str, cause: str, line: str
) -> None:
    with pytest.raises(CommandFailed, match=cause) as refused:
        await refusing(said).run(["python3", "-"], deadline_s=5)
    assert refused.value.hint.endswith(line)
    assert "\n" not in refused.value.message


async def test_a_command_that_fails_by_itself_is_no_refusal_of_sudo() -> None:
    done = await refusing("No such unit").run(["systemctl", "stop", "x"], deadline_s=5)
    assert (done.status, done.stderr) == (1, b"Welcome!\nNo such unit\n")


async def test_the_deadline_holds_on_roots_side_too_because_a_login_cannot_signal_root() -> None:
    shell = FakeShell("n1")
    shell.answer(["env"])
    await SudoShell(shell).run(["sleep", "9"], deadline_s=2.5, stdin=b"x")
    (asked,) = shell.commands
    assert asked.argv == (*as_root(["timeout", "-k", "5", "3", "sleep", "9"]),)
    assert (asked.deadline_s, asked.stdin) == (4.0, b"x")


async def test_a_command_that_outlives_its_deadline_there_is_no_plain_failure() -> None:
    shell = FakeShell("n1")
    shell.answer(["env"], status=124)
    times = iter([0.0, 3.0])
    with pytest.raises(DeadlineExceeded, match="sleep took longer than 3 s"):
        await SudoShell(shell, clock=lambda: next(times)).run(["sleep", "9"], deadline_s=3)


async def test_a_watched_stream_is_watched_by_roots_side() -> None:
    shell = FakeShell("n1")
    shell.answer(["env"], stdout=b"one\n")
    async with SudoShell(shell).stream(["journalctl", "-f"]) as stream:
        assert [line async for line in stream.lines()] == [b"one"]
        assert shell.streams[0].reads_stdin
    assert shell.commands[0].argv[-3:-1] == ("sh", "-c")
    assert "journalctl' -f" in shell.commands[0].argv[-1]


@pytest.mark.parametrize(("uid", "through"), [(0, b""), (1000, b"sudo -n -- ")])
async def test_arguments_arrive_as_they_are_through_sudo_only_where_the_login_is_not_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, through: bytes
) -> None:
    for name, script in {"id": f"echo {uid}", "sudo": 'printf "sudo $1 $2 "; shift 2; exec "$@"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = await SudoShell(LocalShell()).run(["printf", "%s|", "a b", "$HOME", "'; echo x"], deadline_s=10)
    assert done.stdout == through + b"a b|$HOME|'; echo x|"
