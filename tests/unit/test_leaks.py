"""The leak guard sees what it has to see."""

from __future__ import annotations

import os
import subprocess
import sys

from tests import leaks

_WAITS = [sys.executable, "-c", "print(flush=True); input()"]


def test_marked_process_is_found_until_it_is_gone() -> None:
    with subprocess.Popen(
        _WAITS, env=os.environ | {leaks.MARK: "this-test"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert {process.pid for process in leaks.marked("this-test")} == {child.pid}
        assert child.pid in {process.pid for process in leaks.descendants()}
        assert not leaks.marked("another-test")
        child.kill()
    assert not leaks.marked("this-test")
    assert child.pid not in {process.pid for process in leaks.descendants()}
