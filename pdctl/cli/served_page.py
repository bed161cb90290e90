"""The web server of `pdctl serve`: textual-serve's, one process a tab, behind a guard of our own.

textual-serve 1.1.3 asks nobody who they are and looks at no Origin: any page that an operator visits could open a
websocket to it and read the screen. So requests have to name a host of ours (DNS rebinding names another), websockets
have to come from our own page, tabs are counted, and the page may load nothing from elsewhere (its template links to a
font on the web).
"""

from __future__ import annotations

import asyncio
import ipaddress
import shlex
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import WSCloseCode, web
from textual_serve.app_service import AppService
from textual_serve.server import Server

MAX_TABS: Final = 8
"""Each is a process that asks the cluster by itself."""
HTTP_PORT: Final = 80
SHUTDOWN_S: Final = 3.0
MAX_CELLS: Final = 1000
_ENTRY: Final = "import sys; from pdctl.cli.main import main; main(sys.argv[1:])"


def tab_command(inventory: Path, flags: Sequence[str] = ()) -> str:
    """What a tab runs, for a shell: never anything that may change the cluster."""
    pdctl = [sys.executable, "-c", _ENTRY, "--read-only", "-i", str(inventory)]
    return "exec " + shlex.join([*pdctl, "top", *flags])


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach it there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def origin(host: str, port: int) -> str:
    """How a browser names the page there."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}" if port == HTTP_PORT else f"http://{name}:{port}"


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may ask. `origins`: what a browser that shows our page says it comes from ("http://127.0.0.1:8000")."""

    origins: frozenset[str]

    @classmethod
    def of(cls, host: str, port: int, public_url: str = "") -> Guard:
        """For a page at that address; `public_url` is where a reverse proxy shows it."""
        names = {host, *(("127.0.0.1", "localhost", "::1") if is_loopback(host) else ())}
        parts = urlsplit(public_url)
        proxied = [f"{parts.scheme}://{parts.netloc}"] if public_url else []
        return cls(frozenset([*(origin(name, port) for name in names), *proxied]))

    def refusal(self, host: str, asker: str | None) -> str:
        """Why a request with these headers is refused, "" where it is not. Programs that are no browser have no
        Origin."""
        if host.lower() not in {urlsplit(known).netloc.lower() for known in self.origins}:
            return f"this is not the page of {host!r}"
        if asker is not None and asker.lower() not in {known.lower() for known in self.origins}:
            return f"a page of {asker!r} may not ask here"
        return ""

    @property
    def policy(self) -> str:
        """The page's Content-Security-Policy: itself, and its own websocket."""
        sockets = " ".join(sorted(known.replace("http", "ws", 1) for known in self.origins))
        return (
            "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
            f"img-src 'self' data:; font-src 'self' data:; connect-src 'self' {sockets}; frame-ancestors 'none'"
        )


class Tab(AppService):
    """The process behind one tab. It ends with the tab: told first, killed where it does not listen; and the tab ends
    with it (textual-serve 1.1.3 waits for neither)."""

    async def run(self) -> None:
        """Pass on what it writes, until it has ended."""
        await super().run()
        await self.remote_close()

    async def stop(self) -> None:
        """End it. Nothing of it is left when this returns."""
        process, reading = self._process, self._task
        if process is None or reading is None:
            return
        self._process = self._task = None
        await self._download_manager.cancel_app_downloads(app_service_id=self.app_service_id)
        await self.send_meta({"type": "quit"})
        try:
            async with asyncio.timeout(SHUTDOWN_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        self.stdin.close()
        await reading


class PageServer(Server):
    """Serves `command` at `host`:`port`. `announce` hears the page's address once it can be opened."""

    def __init__(
        self,
        command: str,
        host: str,
        port: int,
        *,
        title: str,
        announce: Callable[[str], None],
        public_url: str = "",
    ) -> None:
        super().__init__(command, host, port, title=title, public_url=public_url.rstrip("/") or origin(host, port))
        self.guard = Guard.of(host, port, public_url)
        self.tabs: set[web.WebSocketResponse] = set()
        self._announce = announce

    def initialize_logging(self) -> None:
        """Warnings go to stderr, and no line for each request."""

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guarded)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """No logo; what is to be said is said once somebody can open the page."""

    async def on_shutdown(self, app: web.Application) -> None:
        """Tabs are told that it is over, and their processes end with them."""
        for websocket in tuple(self.tabs):
            await websocket.close(code=WSCloseCode.GOING_AWAY)

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop`; then every tab's process is told to end. Raises OSError where it cannot listen."""
        runner = web.AppRunner(await self._make_app(), handle_signals=False, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
            self._announce(self.public_url)
            await stop.wait()
        finally:
            await runner.cleanup()

    @property
    def _guarded(self) -> Callable[..., Awaitable[web.StreamResponse]]:
        @web.middleware
        async def guarded(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if why := self.guard.refusal(request.headers.get("Host", ""), request.headers.get("Origin")):
                raise web.HTTPForbidden(text=f"{why}\n")
            response = await handler(request)
            if not response.prepared:
                response.headers["Content-Security-Policy"] = self.guard.policy
                response.headers["X-Content-Type-Options"] = "nosniff"
                response.headers["Referrer-Policy"] = "no-referrer"
            return response

        return guarded

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """One tab, from its first byte to the end of its process."""
        if len(self.tabs) >= MAX_TABS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_TABS} tabs are open already\n")
        websocket = web.WebSocketResponse(heartbeat=15)
        self.tabs.add(websocket)
        try:
            await websocket.prepare(request)
            tab = Tab(
                self.command,
                write_bytes=websocket.send_bytes,
                write_str=websocket.send_str,
                close=_closing(websocket),
                download_manager=self.download_manager,
            )
            try:
                await tab.start(_number(request, "width", 80), _number(request, "height", 24))
                await self._process_messages(websocket, tab)
            finally:
                await asyncio.shield(tab.stop())
        finally:
            self.tabs.discard(websocket)
        return websocket


def _closing(websocket: web.WebSocketResponse) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        await websocket.close()

    return close


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return min(int(text), MAX_CELLS) if text.isdigit() else default
