"""Programs for nodes, run by this machine's python3; and the local shell that they run over."""

from __future__ import annotations

import ast
import asyncio
import secrets
from importlib import resources
from pathlib import Path

import pytest

from pdctl.errors import (
    CommandFailed,
    DeadlineExceeded,
    EpochRefused,
    InstanceError,
    NodeError,
    Unreachable,
    UsageError,
)
from pdctl.ssh.fake import FakeShell
from pdctl.ssh.local import LocalShell
from pdctl.ssh.program import NodeProgram, run_program
from tests.waiting import wait_until
from tests.wire.ssh_server import living_with_argument


async def _run(body: str, **payload: object) -> dict[str, object]:
    source = "def main(payload):\n" + "\n".join(f"    {line}" for line in body.splitlines())
    return await run_program(LocalShell("n1"), NodeProgram("trial", source), payload, deadline_s=10)


@pytest.mark.parametrize("file", ["prelude_on_node.py", "relay_on_node.py"])
def test_what_runs_on_nodes_is_python_3_6(file: str) -> None:
    source = resources.files("pdctl.ssh").joinpath(file).read_text()
    tree = ast.parse(source, feature_version=(3, 6))
    futures = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    assert not futures  # `annotations` is of 3.7
    walrus = [node for node in ast.walk(tree) if isinstance(node, ast.NamedExpr)]
    assert not walrus


async def test_payload_in_reply_out() -> None:
    words = {"text": "ü€ '\"\\ \n\x00", "list": [1, None, {"a": 1.5}]}
    assert await _run("return {'back': payload}", **words) == {"back": words}


async def test_stray_output_is_not_the_reply() -> None:
    assert await _run("print('{}')\nimport sys\nsys.stderr.write('note')\nreply({'ok': 1})") == {"ok": 1}


async def test_a_program_s_refusal_is_an_error_with_its_hint() -> None:
    with pytest.raises(CommandFailed) as caught:
        await _run("refuse('taken', 'port 1 is\\x1b[31m taken', 'stop its owner')")
    assert (caught.value.cause, caught.value.hint) == ("port 1 is taken", "stop its owner")


async def test_a_kind_of_refusal_may_have_its_class() -> None:
    class Taken(NodeError):
        pass

    program = NodeProgram("trial", "def main(payload):\n    refuse('taken', 'no')\n")
    with pytest.raises(Taken):
        await run_program(LocalShell(), program, {}, deadline_s=10, errors={"taken": Taken})
    assert not issubclass(Taken, InstanceError)


async def test_a_crash_is_reported_with_its_place_and_without_the_payload() -> None:
    secret = secrets.token_hex(8)
    with pytest.raises(CommandFailed, match=r"ZeroDivisionError: division by zero \(in main, line \d+\)") as caught:
        await _run("return 1 / 0", token=secret)
    assert secret not in str(caught.value) + caught.value.stderr


async def test_a_syntax_error_does_not_show_the_payload() -> None:
    secret = secrets.token_hex(8)
    with pytest.raises(CommandFailed, match="SyntaxError") as caught:
        await _run("return (", token=secret)
    assert secret not in str(caught.value) + caught.value.stderr


async def test_a_program_that_is_killed_gives_no_answer() -> None:
    with pytest.raises(CommandFailed, match="failed with status 137: it gave no answer"):
        await _run("import os\nos.kill(os.getpid(), 9)")


async def test_an_answer_longer_than_we_take() -> None:
    program = NodeProgram("trial", "def main(payload):\n    return {'x': 'y' * 5000}\n")
    with pytest.raises(CommandFailed, match="longer than we take"):
        await run_program(LocalShell(), program, {}, deadline_s=10, max_bytes=1000)


async def test_no_python_on_the_node() -> None:
    shell = FakeShell("n1")
    with pytest.raises(CommandFailed, match="python3 is not installed") as caught:
        await run_program(shell, NodeProgram("trial", "def main(payload): return {}"), {}, deadline_s=10)
    assert "3.6" in caught.value.hint
    assert shell.commands[0].argv == ("python3", "-IS", "-")


async def test_an_older_operator_is_refused_and_a_newer_one_remembered(tmp_path: Path) -> None:
    async def guard(epoch: int) -> None:
        await _run("guard_epoch(payload['dir'], payload['epoch'])", dir=str(tmp_path / "state"), epoch=epoch)

    await guard(3)
    await guard(3)
    await guard(7)
    with pytest.raises(EpochRefused, match="epoch 7 here, ours is 6"):
        await guard(6)
    (tmp_path / "state" / "epoch").write_text("garbage")
    with pytest.raises(CommandFailed, match="does not hold a number"):
        await guard(9)


async def test_epochs_raised_at_once_leave_the_highest(tmp_path: Path) -> None:
    body = "guard_epoch(payload['dir'], payload['epoch'])"
    results = await asyncio.gather(
        *(_run(body, dir=str(tmp_path), epoch=epoch) for epoch in (5, 1, 4, 2, 3, 6)), return_exceptions=True
    )
    assert all(result == {} or isinstance(result, EpochRefused) for result in results)
    assert (tmp_path / "epoch").read_text() == "6\n"


async def test_a_local_command_is_killed_with_its_children_at_its_deadline() -> None:
    mark = secrets.token_hex(8)
    with pytest.raises(DeadlineExceeded):
        await LocalShell().run(["sh", "-c", "trap '' TERM; sh -c 'sleep 60; true' $0", mark], deadline_s=0.3)
    await wait_until(lambda: not living_with_argument(mark), 2)


async def test_a_local_stream_ends_with_its_context() -> None:
    mark = secrets.token_hex(8)
    async with LocalShell().stream(["sh", "-c", "echo up; sleep 60; true", mark]) as stream:
        assert await anext(stream.lines()) == b"up"
        with pytest.raises(UsageError):
            await stream.send(b"x")
        assert living_with_argument(mark)
    assert not living_with_argument(mark)


async def test_a_local_stream_is_a_conversation() -> None:
    async with LocalShell().stream(["cat"], watch_stdin=False) as stream:
        await stream.send(b"one\n")
        assert await anext(stream.lines()) == b"one"
    async with LocalShell().stream(["sh", "-c", "echo why >&2; exit 4"]) as stream:
        assert [line async for line in stream.lines()] == []
        assert (await stream.wait(), stream.stderr) == (4, b"why\n")


async def test_the_fake_shell_follows_its_script() -> None:
    shell = FakeShell("n1")
    shell.answer(["systemctl"], stdout=b"all")
    shell.answer(["systemctl", "show"], stdout=b"a\nb\n", status=3)
    shell.answer(lambda command: b"secret" in command.stdin, error=Unreachable("n1", "down"))
    assert (await shell.run(["systemctl", "list"], deadline_s=1)).stdout == b"all"
    async with shell.stream(["systemctl", "show"]) as stream:
        assert [line async for line in stream.lines()] == [b"a", b"b"]
        assert await stream.wait() == 3
    with pytest.raises(Unreachable):
        await shell.run(["cat"], deadline_s=1, stdin=b"a secret")
    assert (await shell.run(["nothing"], deadline_s=1)).status == 127
    assert [command.argv[0] for command in shell.commands] == ["systemctl", "systemctl", "cat", "nothing"]
    with pytest.raises(ConnectionRefusedError):
        await shell.connect("127.0.0.1", 1)
