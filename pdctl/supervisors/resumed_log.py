"""A log that a program on the node prints, line by line, over broken connections too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pdctl.errors import CommandFailed, ConnectionLost, InstanceError, Unreachable
from pdctl.ssh.ports import Shell
from pdctl.ssh.sudo import sudo_refusal
from pdctl.ssh.text import last_line, printable
from pdctl.supervisors.bundle import bundle
from pdctl.supervisors.ports import LogLine
from pdctl.supervisors.unit_logs import last_drawn

RECONNECT_FOR_S = 120.0
"""How long a node may stay away before following its log is given up."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0
_BOOT = "import sys,json;exec(json.loads(sys.stdin.buffer.raw.readline()))"


@asynccontextmanager
async def resumed_log(
    shell: Shell, fragments: Sequence[str], request: Mapping[str, Any]
) -> AsyncIterator[AsyncIterator[LogLine]]:
    """The log of `request["unit"]`, as `follow(request)` of the last fragment prints it on the node: JSON lines
    {"t": text, "at": Unix time, "c": cursor}, {"missing": true} or {"refused": cause}.

    Where `request["follow"]` and a lost connection can be made again within RECONNECT_FOR_S, it goes on after the
    last cursor seen. Raises InstanceError, at the first line, where the node has no log of it; CommandFailed.
    """
    entries = _Resumed(shell, fragments, {**request, "cursor": ""}).lines()
    try:
        yield entries
    finally:
        await entries.aclose()


class _Resumed:
    def __init__(self, shell: Shell, fragments: Sequence[str], request: dict[str, Any]) -> None:
        self._shell = shell
        self._fragments = fragments
        self._request = request

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
        source = bundle(*self._fragments) + f"\nfollow(json.loads({json.dumps(self._request)!r}))\n"
        async with self._shell.stream(["python3", "-I", "-S", "-c", _BOOT], watch_stdin=False) as stream:
            await stream.send(json.dumps(source).encode() + b"\n")
            async for raw in stream.lines():
                yield self._parsed(json.loads(raw))
            if status := await stream.wait():
                said = last_line(stream.stderr)
                cause = sudo_refusal(stream.stderr) or f"its log cannot be read: {said or f'status {status}'}"
                raise CommandFailed(self._shell.node, cause, status=status, stderr=said)

    def _parsed(self, found: dict[str, Any]) -> LogLine:
        unit, node = self._request["unit"], self._shell.node
        if found.get("missing"):
            raise InstanceError(unit, f"{node} has no log of it", hint="was it ever started there?")
        if "refused" in found:
            raise CommandFailed(node, printable(found["refused"], max_chars=500), hint=printable(found["hint"]))
        self._request["cursor"] = found["c"] or self._request["cursor"]
        return LogLine(unit, last_drawn(found["t"]), found["at"])
