"""The held scraper of one node: started over its connection, told what to scrape, listened to, started again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pdctl.errors import ConnectionLost, NodeError, Unreachable
from pdctl.ssh.joined import joined
from pdctl.ssh.ports import Shell, Stream
from pdctl.ssh.text import last_line
from pdctl.telemetry.node_feed import Heard, NodeFeed

BOOT: Final = "import sys,json;exec(json.loads(sys.stdin.buffer.raw.readline()))"
"""Takes the program from the first line of stdin, which stays open for orders; its end tells that we are gone."""

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 15.0
SILENCE_S: Final = 30.0
"""A scraper says something every interval, if only of sysfs; one that is silent for so long, or five intervals, is
started anew."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one node is to scrape: (host, port, path) by target. Only the samples of `names` are sent."""

    interval_s: float
    names: frozenset[str]
    targets: Mapping[str, tuple[str, int, str]]

    def line(self) -> bytes:
        """As the program reads it."""
        asked = {"interval_s": self.interval_s, "names": sorted(self.names), "targets": dict(self.targets)}
        return json.dumps(asked).encode() + b"\n"


@dataclass(slots=True)
class NodeStream:
    """Run it as a task; `order` says what to scrape, at any time. What comes goes to `hear`, an end to `lost`, with
    why, and whether the node can be reached (None: that is not known)."""

    shell: Shell
    hear: Callable[[str, Heard], None]
    lost: Callable[[str, str, bool | None], None]
    first_pause_s: float = FIRST_PAUSE_S
    silence_s: float = SILENCE_S
    _order: Order | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def order(self, order: Order) -> None:
        """Scrape this from now on."""
        if order != self._order:
            self._order = order
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled. A connection that is lost is dialled again, after pauses that grow to 15 s."""
        pause_s = self.first_pause_s
        while True:
            reachable: bool | None = None
            try:
                heard = await self._listen()
                why = "the scraper ended"
            except NodeError as error:
                heard, why = False, error.cause
                reachable = False if isinstance(error, Unreachable | ConnectionLost) else None
            except (ValueError, OSError) as error:
                heard, why = False, str(error)
            self.lost(self.shell.node, why, reachable)
            pause_s = self.first_pause_s if heard else min(2 * pause_s, LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)

    async def _listen(self) -> bool:
        """Whether anything was heard before the stream ended."""
        while self._order is None:
            await self._changed.wait()
        source = joined("pdctl.telemetry.sysfs_on_node", "pdctl.telemetry.scrape_on_node") + "\nmain()\n"
        feed = NodeFeed(self._order.names)
        async with self.shell.stream(["python3", "-I", "-S", "-c", BOOT], watch_stdin=False) as stream:
            await stream.send(json.dumps(source).encode() + b"\n")
            orders = asyncio.create_task(self._send_orders(stream))
            heard_any = False
            silence_s = max(self.silence_s, 5 * self._order.interval_s)
            clock = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(silence_s) as limit:
                    async for line in stream.lines():
                        limit.reschedule(clock.time() + silence_s)
                        heard = feed.take(line)
                        heard_any = True
                        if heard is not None:
                            self.hear(self.shell.node, heard)
            except TimeoutError:
                raise ValueError(f"the scraper said nothing for {silence_s:g} s") from None
            finally:
                orders.cancel()
                await asyncio.gather(orders, return_exceptions=True)
            if said := last_line(stream.stderr):
                raise ValueError(f"the scraper ended: {said}")
            return heard_any

    async def _send_orders(self, stream: Stream) -> None:
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._order is not None:
                await stream.send(self._order.line())
