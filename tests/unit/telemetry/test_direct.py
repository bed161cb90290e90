"""Scraping straight from here: an engine that hangs, trickles or fails delays no other, and has its cause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

import pdctl.telemetry.direct as room
from pdctl.telemetry.direct import DirectScraper
from pdctl.telemetry.node_feed import Heard, Lost, Scraped
from tests.unit.telemetry.scrapes import NAMES, counter
from tests.waiting import wait_until

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Ears:
    """What was heard of each target."""

    heard: dict[str, list[Heard]] = field(default_factory=dict)

    def __call__(self, node: str, what: Heard) -> None:
        assert not hasattr(what, "nics")
        self.heard.setdefault(what.target if isinstance(what, Scraped | Lost) else "", []).append(what)

    def count(self, target: str, kind: type) -> int:
        return sum(isinstance(each, kind) for each in self.heard.get(target, ()))


async def serves(writer: asyncio.StreamWriter) -> None:
    body = counter("generation_tokens_total", 7.0).encode()
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


async def hangs(writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def trickles(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"#")
        await asyncio.sleep(0.01)


async def fails(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")


@asynccontextmanager
async def engine(answer: Answer) -> AsyncIterator[tuple[str, int, str]]:
    """Where it listens, as a target of a scraper."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await answer(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield ("127.0.0.1", server.sockets[0].getsockname()[1], "/metrics")
    finally:
        server.close()


@asynccontextmanager
async def scraper(ears: Ears) -> AsyncIterator[DirectScraper]:
    made = DirectScraper(0.02, NAMES, ears)
    try:
        yield made
    finally:
        await made.close()


async def test_an_engine_that_hangs_trickles_or_fails_delays_no_other_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "TIMEOUT_S", 0.3)
    ears = Ears()
    odd = ("hung", "slow", "bad")
    async with (
        engine(serves) as good,
        engine(hangs) as hung,
        engine(trickles) as slow,
        engine(fails) as bad,
        scraper(ears) as direct,
    ):
        direct.order({"n1": {"good": good, "hung": hung}, "n2": {"slow": slow, "bad": bad}})
        await wait_until(lambda: ears.count("good", Scraped) >= 5, 5.0, what="five scrapes of the good one")
        assert ears.count("hung", Lost) <= 1, "it was not waited for"
        await wait_until(lambda: all(ears.count(each, Lost) for each in odd), 5.0, what="the causes of the others")
    (scan,) = {tuple(each.scan.samples.values()) for each in ears.heard["good"] if isinstance(each, Scraped)}
    assert scan == (7.0,)
    why = {name: each[0].why for name, each in ears.heard.items() if isinstance(each[0], Lost)}
    assert why["hung"].startswith("no whole answer in")
    assert why["slow"].startswith("no whole answer in")
    assert why["bad"] == "it answered 503"
    assert {ears.count(each, Scraped) for each in odd} == {0}


async def test_an_engine_that_was_launched_anew_is_scraped_where_it_is_now() -> None:
    ears = Ears()
    async with engine(fails) as before, engine(serves) as now, scraper(ears) as direct:
        direct.order({"n1": {"e": before}})
        await wait_until(lambda: ears.count("e", Lost) > 0, 5.0, what="the old one was asked")
        direct.order({"n1": {"e": now}})
        await wait_until(lambda: ears.count("e", Scraped) > 1, 5.0, what="the new one was asked")
        last = len(ears.heard["e"])
        await wait_until(lambda: len(ears.heard["e"]) > last + 2, 5.0, what="it goes on")
        assert all(isinstance(each, Scraped) for each in ears.heard["e"][last:])
        direct.order({})
        silent = len(ears.heard["e"])
        await asyncio.sleep(0.1)
        assert len(ears.heard["e"]) <= silent + 1
