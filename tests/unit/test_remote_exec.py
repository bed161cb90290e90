"""`exec` on many nodes: what each answered, and the one exit code of all of them."""

from __future__ import annotations

import pytest

from pdctl.control.remote_exec import ExecResult, exit_code, remote_exec
from pdctl.errors import CommandFailed, ConnectionLost, DeadlineExceeded, NodeError, Unreachable
from pdctl.ssh.fake import FakeShell, FakeShells

OK, FAILED, GONE = ExecResult("a", 0), ExecResult("b", 7, exit_code=1), ExecResult("c", None, exit_code=4)


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([OK, OK], 0),
        ([OK, FAILED], 3),
        ([FAILED, FAILED], 1),
        ([OK, GONE], 4),
        ([GONE, GONE], 4),
        ([FAILED, GONE], 1),
        ([OK, FAILED, GONE], 3),
        ([], 0),
    ],
)
def test_one_exit_code_for_all(results: list[ExecResult], code: int) -> None:
    assert exit_code(results) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable("n2", "refused", hint="is it on?"), 4),
        (ConnectionLost("n2", "the connection went"), 4),
        (DeadlineExceeded("n2", "took longer than 5 s"), 1),
        (CommandFailed("n2", "no shell"), 1),
    ],
)
async def test_a_node_that_fails_is_no_success_and_stops_no_other(error: NodeError, code: int) -> None:
    shells = {name: FakeShell(name) for name in ("n1", "n2")}
    shells["n1"].answer(["echo"], stdout=b"\x1b[31mred\x1b[0m\x07\n")
    shells["n2"].answer(["echo"], error=error)
    found = {
        result.node: result
        async for result in remote_exec(FakeShells(shells), ["n1", "n2"], ["echo", "x"], deadline_s=5.0)
    }
    assert (found["n1"].status, found["n1"].stdout) == (0, "red\\x07\n")
    lost = found["n2"]
    assert (lost.status, lost.trouble, lost.hint, lost.exit_code) == (None, error.cause, error.hint, code)
