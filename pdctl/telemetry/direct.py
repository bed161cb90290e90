"""Scraping straight from here, where the inventory says that engines can be reached: one task and connection each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx

from pdctl.telemetry.node_feed import Heard, Lost, Scraped
from pdctl.telemetry.scan import Scanner

TIMEOUT_S: Final = 5.0
BODY_MAX_BYTES: Final = 16 << 20


@dataclass(slots=True)
class DirectScraper:
    """Every target has a task of its own, so a slow one delays nobody. `hear` gets (node, what was heard)."""

    interval_s: float
    names: frozenset[str]
    hear: Callable[[str, Heard], None]
    monotonic: Callable[[], float] = time.monotonic
    _tasks: dict[tuple[str, str, str], asyncio.Task[None]] = field(default_factory=dict)

    def order(self, targets: Mapping[str, Mapping[str, tuple[str, int, str]]]) -> None:
        """Scrape these from now on: (host, port, path) by node and target."""
        wanted = {
            (node, target, f"http://{_host(host)}:{port}{path}")
            for node, those in targets.items()
            for target, (host, port, path) in those.items()
        }
        for key in self._tasks.keys() - wanted:
            self._tasks.pop(key).cancel()
        for key in wanted - self._tasks.keys():
            self._tasks[key] = asyncio.create_task(self._scrape(*key))

    async def close(self) -> None:
        """End all tasks."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _scrape(self, node: str, target: str, url: str) -> None:
        scanner = Scanner(self.names)
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            due_s = self.monotonic()
            while True:
                self.hear(node, await self._one(client, scanner, target, url))
                due_s = max(due_s + self.interval_s, self.monotonic())
                await asyncio.sleep(due_s - self.monotonic())

    async def _one(self, client: httpx.AsyncClient, scanner: Scanner, target: str, url: str) -> Heard:
        body = bytearray()
        try:
            # httpx's own deadline is per read: an answer that trickles, or has no end, needs one of the whole.
            async with asyncio.timeout(TIMEOUT_S), client.stream("GET", url) as answer:
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > BODY_MAX_BYTES:
                        return Lost(target, self.monotonic(), f"its answer is longer than {BODY_MAX_BYTES} bytes")
        except TimeoutError:
            return Lost(target, self.monotonic(), f"no whole answer in {TIMEOUT_S:.0f} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Lost(target, self.monotonic(), str(error) or type(error).__name__)
        if answer.status_code != 200:
            return Lost(target, self.monotonic(), f"it answered {answer.status_code}")
        return Scraped(target, self.monotonic(), scanner.scan(body.decode("utf-8", "replace")))


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
