"""The scraper on a node, run for real on this machine: what it sends, and that it ends when nobody listens any more."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from pdctl.errors import ConnectionLost
from pdctl.ssh.fake import FakeShell
from pdctl.ssh.joined import joined
from pdctl.ssh.local import LocalShell
from pdctl.ssh.ports import Shell, Stream
from pdctl.telemetry.node_feed import Heard, Lost, NodeFeed, NodeSeen, Scraped
from pdctl.telemetry.node_stream import BOOT, NodeStream, Order
from tests.unit.telemetry.scrapes import NAMES, counter
from tests.waiting import wait_until


@dataclass
class Engine:
    """An engine's /metrics; with `hang` it takes the request and says nothing."""

    text: str = counter("generation_tokens_total", 7)
    hang: bool = False
    port: int = 0
    asked: int = 0
    released: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(engine: Engine) -> Iterator[Engine]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            engine.asked += 1
            if engine.hang:
                engine.released.wait(30.0)
                return
            body = engine.text.encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    engine.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield engine
    finally:
        engine.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Ear:
    """What a stream brought."""

    heard: list[Heard] = field(default_factory=list)
    lost: list[tuple[str, bool | None]] = field(default_factory=list)

    def of(self, kind: type[Heard]) -> list[Heard]:
        return [heard for heard in self.heard if isinstance(heard, kind)]


@asynccontextmanager
async def listening(shell: Shell, order: Order, silence_s: float = 30.0) -> AsyncIterator[tuple[NodeStream, Ear]]:
    ear = Ear()
    stream = NodeStream(
        shell,
        lambda node, heard: ear.heard.append(heard),
        lambda node, why, reachable: ear.lost.append((why, reachable)),
        first_pause_s=0.05,
        silence_s=silence_s,
    )
    stream.order(order)
    task = asyncio.create_task(stream.run())
    try:
        yield stream, ear
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def order(**engines: Engine) -> Order:
    return Order(0.1, NAMES, {name: ("127.0.0.1", engine.port, "/metrics") for name, engine in engines.items()})


def marked(mark: str) -> set[str]:
    """Scrapers that were started with this in their environment: other tests may run some too."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_one = b"sys.stdin.buffer.raw.readline" in (process / "cmdline").read_bytes()
            if is_one and mark.encode() in (process / "environ").read_bytes():
                found.add(process.name)
    return found


async def test_engines_are_scraped_and_one_that_hangs_delays_no_other() -> None:
    with serving(Engine()) as well, serving(Engine(hang=True)) as hung:
        async with listening(LocalShell("n1"), order(well=well, hung=hung)) as (_, ear):
            await wait_until(lambda: len(ear.of(Scraped)) >= 3 and bool(ear.of(NodeSeen)), 10.0, what="three scrapes")
            assert hung.asked == 1
    assert {heard.target for heard in ear.of(Scraped) if isinstance(heard, Scraped)} == {"well"}
    assert not ear.lost


async def test_the_scraper_ends_with_its_connection_even_while_an_engine_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be left on a node: the end of stdin is the end, whatever its threads wait for."""
    mark = uuid4().hex
    monkeypatch.setenv("PDCTL_TEST_MARK", mark)
    with serving(Engine(hang=True)) as hung:
        async with listening(LocalShell("n1"), order(hung=hung)):
            await wait_until(lambda: hung.asked == 1, 10.0, what="the scraper has asked")
            assert marked(mark), "it runs"
        assert not marked(mark)


async def test_the_scraper_ends_when_its_controller_is_killed() -> None:
    """Nobody closes anything in order then: the pipe's end is all that it sees."""
    program = joined("pdctl.telemetry.sysfs_on_node", "pdctl.telemetry.scrape_on_node") + "\nmain()\n"
    with serving(Engine(hang=True)) as hung:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", BOOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(program).encode() + b"\n" + order(hung=hung).line())
        await wait_until(lambda: hung.asked == 1, 10.0, what="the scraper has asked")
        process.stdin.close()
        try:
            assert await asyncio.wait_for(process.wait(), 5.0) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_an_engine_that_moved_to_another_port_is_scraped_there_and_no_more_here() -> None:
    with serving(Engine()) as old, serving(Engine(text=counter("generation_tokens_total", 9))) as new:
        async with listening(LocalShell("n1"), order(e=old)) as (stream, ear):
            await wait_until(lambda: bool(ear.of(Scraped)), 10.0, what="a scrape")
            stream.order(order(e=new))
            await wait_until(lambda: new.asked >= 2, 10.0, what="the new one is asked")
            ear.heard.clear()
            asked = old.asked
            await wait_until(lambda: len(ear.of(Scraped)) >= 2, 10.0, what="more scrapes")
    values = [value for heard in ear.of(Scraped) if isinstance(heard, Scraped) for value in heard.scan.samples.values()]
    assert set(values) == {9.0}
    assert old.asked == asked


async def test_long_names_do_not_outgrow_a_line() -> None:
    """A line of a stream has 64 KiB at most: heads are cut by their size, not by their number."""
    text = "".join(
        counter("request_success_total", number, finished_reason=f"{number}-{'x' * 900}") for number in range(200)
    )
    with serving(Engine(text=text)) as engine:
        async with listening(LocalShell("n1"), order(e=engine)) as (_, ear):
            await wait_until(lambda: bool(ear.of(Scraped)), 10.0, what="a whole scrape")
    first = ear.of(Scraped)[0]
    assert isinstance(first, Scraped)
    assert sorted(first.scan.samples.values()) == [float(number) for number in range(200)]


class Scripted(FakeShell):
    """A node whose scraper starts and then never says a word, or whose connection goes at once."""

    def __init__(self, end: Exception | None = None) -> None:
        super().__init__("n1")
        self.opened = 0
        self.end = end

    @asynccontextmanager
    async def stream(  # type: ignore[override]
        self, argv: Sequence[str], *, watch_stdin: bool = True
    ) -> AsyncIterator[Stream]:
        self.opened += 1
        yield Mute(self.end)


class Mute:
    """A stream without a line."""

    stderr = b""

    def __init__(self, end: Exception | None) -> None:
        self.end = end

    async def lines(self) -> AsyncIterator[bytes]:
        if self.end is not None:
            raise self.end
        await asyncio.Event().wait()
        yield b""

    async def send(self, data: bytes) -> None:
        """Nobody reads it."""

    async def wait(self) -> int:
        return 0


async def test_a_stream_that_says_nothing_is_begun_anew_and_says_so() -> None:
    shell = Scripted()
    async with listening(shell, Order(0.01, NAMES, {}), silence_s=0.1) as (_, ear):
        await wait_until(lambda: shell.opened >= 2, 5.0, what="it is started again")
    assert ear.lost[0] == ("the scraper said nothing for 0.1 s", None)


async def test_a_lost_connection_is_told_from_a_scraper_that_ended() -> None:
    async with listening(Scripted(ConnectionLost("n1", "reset by peer")), Order(1.0, NAMES, {})) as (_, ear):
        await wait_until(lambda: bool(ear.lost), 5.0, what="it is lost")
    assert ear.lost[0] == ("reset by peer", False)


def test_a_value_that_cannot_be_read_spoils_scrapes_until_it_can_and_is_never_shown_as_what_it_was() -> None:
    feed = NodeFeed(NAMES)
    head = counter("generation_tokens_total", 0).rpartition(" ")[0].replace('"', '\\"')

    def values(kind: str, text: str) -> Heard | None:
        return feed.take(f'{{"k":"{kind}","t":"e","at":1.0,"n":1,"v":{text}}}'.encode())

    feed.take(f'{{"k":"heads","t":"e","from":0,"heads":["{head}"]}}'.encode())
    damaged = []
    for kind, text in (("values", '{"0":"1"}'), ("part", '{"0":"x"}'), ("values", "{}"), ("values", '{"0":"2"}')):
        heard = values(kind, text)
        if isinstance(heard, Scraped):
            damaged.append(heard.scan.damaged)
    assert damaged == [0, 1, 0]


@pytest.mark.parametrize("line", [b"[]", b"{}", b'{"k":"values","t":"e","at":1,"v":{"7":"1"}}', b"no JSON"])
def test_what_the_scraper_never_says_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        NodeFeed(NAMES).take(line)


def test_lost_is_passed_on() -> None:
    assert NodeFeed(NAMES).take(b'{"k":"lost","t":"e","at":1.5,"why":"refused"}') == Lost("e", 1.5, "refused")
