"""A unit's log as it comes from its node, line by line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pdctl.errors import InstanceError
from pdctl.ssh.ports import Shell
from pdctl.ssh.text import printable
from pdctl.supervisors.bundle import STATE, bundle
from pdctl.supervisors.ports import LogLine

_BOOT = "import sys,json;exec(json.loads(sys.stdin.buffer.raw.readline()))"
"""Takes the program from the first line of stdin, which stays open: its end tells the program that we are gone."""


@asynccontextmanager
async def unit_log(
    shell: Shell, *, root: str | None, cluster: str, unit: str, lines: int, follow: bool
) -> AsyncIterator[AsyncIterator[LogLine]]:
    """The log of one unit. Raises InstanceError, at the first line, where the node has none of it."""
    request = {"root": root, "cluster": cluster, "unit": unit, "lines": lines, "follow": follow}
    source = bundle(*STATE, "unit_log_on_node", "follow_on_node") + f"\nfollow(json.loads({json.dumps(request)!r}))\n"
    async with shell.stream(["python3", "-I", "-S", "-c", _BOOT], watch_stdin=False) as stream:
        await stream.send(json.dumps(source).encode() + b"\n")
        yield _parsed(shell.node, unit, stream.lines())


async def _parsed(node: str, unit: str, lines: AsyncIterator[bytes]) -> AsyncIterator[LogLine]:
    async for line in lines:
        found: dict[str, Any] = json.loads(line)
        if found.get("missing"):
            raise InstanceError(unit, f"{node} has no log of it", hint="was it ever started there?")
        yield LogLine(unit, last_drawn(found["t"]))


def last_drawn(text: str) -> str:
    """The line as a terminal would end up showing it: progress bars draw over themselves with carriage returns."""
    return printable(text.rstrip("\r").rpartition("\r")[2])
