"""The terminal in a browser: on loopback, read-only, and for no page but its own."""

from __future__ import annotations

import asyncio
import shlex
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest
from click.testing import CliRunner

from pdctl.cli.main import cli
from pdctl.cli.served_page import Guard, PageServer, is_loopback, tab_command
from tests.tui.browser import Page, browse, program
from tests.waiting import wait_until

HELLO = """
import sys, time, signal
sys.stdout.buffer.write(b"__GANGLION__\\n" + b"D" + (5).to_bytes(4, "big") + b"hello")
sys.stdout.buffer.flush()
"""
LISTENS = "sys.stdin.buffer.read(1)"
DEAF = "time.sleep(60)"
INVENTORY = Path(__file__).parents[2] / "inventories" / "demo.yaml"


def test_a_tab_can_change_nothing() -> None:
    words = shlex.split(tab_command(Path("/x y/inventory.yaml"), ["--theme", "pdctl-light"]))
    assert words[0] == "exec"
    assert words.index("--read-only") < words.index("top")
    assert words[words.index("-i") + 1] == "/x y/inventory.yaml"


def test_a_tab_s_own_flags_cannot_take_read_only_away() -> None:
    """The command line that a tab runs is a `pdctl top` whose session refuses changes."""
    words = shlex.split(tab_command(INVENTORY))
    assert words[1:3] == [sys.executable, "-c"]
    assert words[4:] == ["--read-only", "-i", str(INVENTORY), "top"]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("10.0.0.1", False), ("ops.example", False)],
)  # fmt: skip
def test_what_loopback_is(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("host", "origin", "refused"),
    [
        ("127.0.0.1:8000", None, False),
        ("localhost:8000", "http://localhost:8000", False),
        ("[::1]:8000", "http://[::1]:8000", False),
        ("127.0.0.1:8000", "http://evil.example", True),
        ("127.0.0.1:8000", "http://127.0.0.1:9999", True),
        ("127.0.0.1:8000", "null", True),
        ("evil.example:8000", "http://evil.example:8000", True),
        ("", None, True),
    ],
)
def test_other_pages_and_rebound_names_are_refused(host: str, origin: str | None, refused: bool) -> None:
    assert bool(Guard.of("127.0.0.1", 8000).refusal(host, origin)) is refused


def test_behind_a_proxy_its_page_is_ours() -> None:
    guard = Guard.of("127.0.0.1", 8000, "https://ops.example")
    assert guard.refusal("ops.example", "https://ops.example") == ""
    assert "wss://ops.example" in guard.policy


def test_another_address_has_to_be_meant() -> None:
    result = CliRunner().invoke(cli, ["-i", str(INVENTORY), "serve", "--host", "0.0.0.0"])
    assert "not this machine alone" in str(result.exception or result.output)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@asynccontextmanager
async def served(command: str) -> AsyncIterator[tuple[PageServer, str]]:
    """A page whose tabs run `command`."""
    stop, ready = asyncio.Event(), asyncio.Event()
    server = PageServer(command, "127.0.0.1", free_port(), title="pdctl demo", announce=lambda url: ready.set())
    running = asyncio.create_task(server.run(stop))
    try:
        async with asyncio.timeout(20):
            await ready.wait()
        yield server, server.public_url
    finally:
        stop.set()
        await running


@pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")
async def test_the_page_is_ours_alone_and_a_tab_is_one_process() -> None:
    async with served(says(LISTENS)) as (server, url), aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert "pdctl demo" in await answer.text()
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        for wrong in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            async with session.get(f"{url}/ws", headers=wrong) as refused:
                assert refused.status == 403
        async with session.ws_connect(f"{url}/ws?width=80&height=24", headers={"Origin": url}) as tab:
            assert await tab.receive_bytes(timeout=20) == b"hello"
            assert len(server.tabs) == 1


def says(body: str) -> str:
    """A tab's command: a program that says hello as textual does, and then this."""
    return "exec " + shlex.join([sys.executable, "-c", HELLO + body])


@pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")
async def test_there_is_an_end_to_tabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdctl.cli.served_page.MAX_TABS", 1)
    async with (
        served(says(LISTENS)) as (_, url),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/ws") as tab,
    ):
        await tab.receive_bytes(timeout=20)
        async with session.get(f"{url}/ws") as full:
            assert full.status == 503


@pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")
@pytest.mark.parametrize("fault", ["the program ends", "the program is deaf", "the page closes", "the server stops"])
async def test_a_tab_leaves_no_process_behind(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdctl.cli.served_page.SHUTDOWN_S", 0.5)
    note = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(__import__('os').getpid()));"
    body = {"the program ends": "", "the program is deaf": DEAF}.get(fault, LISTENS)
    async with (
        served(says(note + body)) as (_, url),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/ws") as tab,
    ):
        assert await tab.receive_bytes(timeout=20) == b"hello"
        if fault == "the program ends":
            assert (await tab.receive(timeout=20)).type is aiohttp.WSMsgType.CLOSE
        if fault != "the server stops":
            await tab.close()
    await wait_until(lambda: (tmp_path / "pid").exists() and not running(tmp_path / "pid"), 10)


def running(note: Path) -> bool:
    return psutil.pid_exists(int(note.read_text() or "0"))


@pytest.mark.slow
@pytest.mark.skipif(program() is None, reason="no Chromium here (Debian: apt install chromium)")
async def test_chromium_shows_the_terminal(tmp_path: Path) -> None:
    """The real command in a real browser: bytes of the terminal arrive, and nothing is loaded from elsewhere."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from pdctl.cli.main import main; main()",
        "-i", str(INVENTORY), "serve", "--port", str(port), stdout=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = await asyncio.wait_for(process.stdout.readline(), 30)
        assert f"read-only, at http://127.0.0.1:{port}".encode() in said
        async with browse(f"http://127.0.0.1:{port}/", tmp_path / "browser") as page:
            await wait_until(lambda: shows(page), 60, poll_s=0.2)
            loaded = await page.ask(
                "performance.getEntriesByType('resource').filter(e => e.responseStatus).map(e => e.name).join(' ')"
            )
            assert loaded
            assert all(name.startswith(f"http://127.0.0.1:{port}/") for name in loaded.split())
            await wait_until(lambda: drawn(page), 30, poll_s=0.5, what="a picture with text in it")
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def shows(page: Page) -> bool:
    """Whether bytes of a terminal have arrived in it."""
    return "-first-byte" in (await page.ask("document.body && document.body.className") or "")


async def drawn(page: Page) -> bool:
    """Whether there is more to see than a ground: a blank page packs to under 4 kB, one with text to three times."""
    return len(await page.picture()) > 8_000
