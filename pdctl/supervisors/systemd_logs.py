"""A system unit's journal as it comes from its node, line by line, over broken connections too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pdctl.errors import CommandFailed, ConnectionLost, InstanceError, Unreachable
from pdctl.ssh.ports import Shell
from pdctl.ssh.sudo import sudo_refusal
from pdctl.ssh.text import last_line
from pdctl.supervisors.bundle import bundle
from pdctl.supervisors.ports import LogLine
from pdctl.supervisors.unit_logs import last_drawn

RECONNECT_FOR_S = 120.0
"""How long a node may stay away before following its log is given up."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0
_BOOT = "import sys,json;exec(json.loads(sys.stdin.buffer.raw.readline()))"


@asynccontextmanager
async def unit_journal(shell: Shell, *, unit: str, lines: int, follow: bool) -> AsyncIterator[AsyncIterator[LogLine]]:
    """The journal of one unit. Raises InstanceError, at the first line, where the node has none of it.

    Following goes on from the last line seen when a lost connection can be made again within RECONNECT_FOR_S.
    """
    entries = _Journal(shell, unit, lines, follow).lines()
    try:
        yield entries
    finally:
        await entries.aclose()


class _Journal:
    def __init__(self, shell: Shell, unit: str, lines: int, follow: bool) -> None:
        self._shell = shell
        self._request: dict[str, Any] = {"unit": unit, "lines": lines, "follow": follow, "cursor": ""}

    async def lines(self) -> AsyncGenerator[LogLine, None]:
        pause_s, away_s = _FIRST_PAUSE_S, 0.0
        while True:
            try:
                async for line in self._once():
                    pause_s, away_s = _FIRST_PAUSE_S, 0.0
                    yield line
                return
            except (ConnectionLost, Unreachable):
                if not self._request["follow"] or not self._request["cursor"] or away_s >= RECONNECT_FOR_S:
                    raise
            await asyncio.sleep(pause_s)
            away_s += pause_s
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

    async def _once(self) -> AsyncGenerator[LogLine, None]:
        """One connection's worth; the cursor moves on with every line."""
        source = bundle("systemd_journal_on_node", "systemd_follow_on_node")
        source += f"\nfollow(json.loads({json.dumps(self._request)!r}))\n"
        async with self._shell.stream(["python3", "-I", "-S", "-c", _BOOT], watch_stdin=False) as stream:
            await stream.send(json.dumps(source).encode() + b"\n")
            async for raw in stream.lines():
                yield self._parsed(json.loads(raw))
            if status := await stream.wait():
                said = last_line(stream.stderr)
                cause = sudo_refusal(stream.stderr) or f"its journal cannot be read: {said or f'status {status}'}"
                raise CommandFailed(self._shell.node, cause, status=status, stderr=said)

    def _parsed(self, found: dict[str, Any]) -> LogLine:
        unit = self._request["unit"]
        if found.get("missing"):
            raise InstanceError(unit, f"{self._shell.node} has no log of it", hint="was it ever started there?")
        self._request["cursor"] = found["c"]
        return LogLine(unit, last_drawn(found["t"]), found["at"])
