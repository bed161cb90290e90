"""Rounds over connections that are held: the first logs in and is not counted, the others take turns."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from fanout_measure import Measured
from fanout_tools import Invocation, Setting, Tool


@dataclass(slots=True)
class Series:
    """All the runs of one tool."""

    name: str
    runs: list[Measured] = field(default_factory=list)

    def complete(self, hosts: int) -> bool:
        """Whether every run had an answer from every host; says so where not."""
        bad = next((run for run in self.runs if run.answers != hosts), None)
        if bad is not None:
            print(f"{self.name}: {bad.answers} of {hosts} hosts answered (exit {bad.exit_code})\n{bad.said}")
        return bad is None


Call = Callable[[Invocation, Setting], Measured]


def held_rounds(found: Sequence[Tool], setting: Setting, runs: int, call: Call) -> list[Series]:
    """Rounds of every tool that can hold connections. Its first round, that logs in, is dropped."""
    rounds: list[tuple[Series, Callable[[], Measured]]] = []
    with contextlib.ExitStack() as drivers:
        for tool in found:
            if tool.driver is not None:
                process = drivers.enter_context(driving(tool.driver(setting)))
                rounds.append((Series(tool.name), lambda process=process: one_round(process)))  # type: ignore[misc]
            elif tool.held is not None:
                invocation = tool.held(setting)
                rounds.append((Series(tool.name), lambda invocation=invocation: call(invocation, setting)))  # type: ignore[misc]
        for turn in range(runs + 1):
            for series, run in rounds:
                measured = run()
                if turn or measured.answers != setting.hosts:
                    series.runs.append(measured)
    return [series for series, _ in rounds]


@contextlib.contextmanager
def driving(invocation: Invocation) -> Iterator[subprocess.Popen[str]]:
    """A driver, killed at the end."""
    process = subprocess.Popen(
        invocation.argv,
        env={**os.environ, **invocation.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def one_round(process: subprocess.Popen[str]) -> Measured:
    """Ask a driver for a round. Raises RuntimeError where it has died."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} died")
    said = json.loads(line)
    return Measured(said["wall_s"], said["cpu_s"], int(said["peak_bytes"]), int(said["answers"]), 0)
