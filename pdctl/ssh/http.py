"""HTTP to what listens on a node: an httpx client whose connections are made by the node's shell.

httpx has no public way to replace how it connects, httpcore underneath has: a network backend. This is httpx's own
arrangement with that one part exchanged. Only plain HTTP: the SSH connection encrypts what leaves the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import typing
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

import httpcore

from pdctl.errors import NodeError
from pdctl.ssh.lean_httpx import httpx
from pdctl.ssh.ports import ByteReader, ByteWriter, Shell

DEFAULT_TIMEOUT_S = 10.0
KEPT_S = 2.0
"""An idle connection is not used again after that long. vLLM's server closes it after 5 s (its setting
VLLM_HTTP_TIMEOUT_KEEP_ALIVE), and a request that meets that close on its way gets no answer: a canary failed so."""
_MAX_CONNECTIONS = 64


def shell_http_client(
    shell: Shell, *, base_url: str = "", timeout_s: float = DEFAULT_TIMEOUT_S, max_connections: int = _MAX_CONNECTIONS
) -> httpx.AsyncClient:
    """A client that reaches what the node reaches, "http://127.0.0.1:20000" being the node's own.

    A node that cannot be reached is httpx.ConnectError with the NodeError as its cause. Close it before the shells.
    """
    return httpx.AsyncClient(
        transport=ShellTransport(shell, max_connections=max_connections), base_url=base_url, timeout=timeout_s
    )


def direct_http_client(
    *, base_url: str = "", timeout_s: float = DEFAULT_TIMEOUT_S, max_connections: int = _MAX_CONNECTIONS
) -> httpx.AsyncClient:
    """A client that connects from this machine (`engine_http: direct`); proxies of the environment do not count."""
    limits = httpx.Limits(max_connections=max_connections, keepalive_expiry=KEPT_S)
    return httpx.AsyncClient(base_url=base_url, timeout=timeout_s, limits=limits, trust_env=False)


class ShellTransport(httpx.AsyncBaseTransport):
    """httpx's transport over httpcore's pool over a shell's tunnels."""

    def __init__(self, shell: Shell, *, max_connections: int = _MAX_CONNECTIONS) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=max_connections, keepalive_expiry=KEPT_S, network_backend=_Backend(shell)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        with _as_httpx(request):
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        assert isinstance(response.stream, AsyncIterable)
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response.stream, request),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: AsyncIterable[bytes], request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                return _Tunnel(*await self._shell.connect(host, port))
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(str(exc) or f"no connection to {host}:{port}") from exc
        except (OSError, NodeError) as exc:
            raise httpcore.ConnectError(str(exc)) from exc

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Tunnel(httpcore.AsyncNetworkStream):
    def __init__(self, reader: ByteReader, writer: ByteWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError as exc:
            raise httpcore.ReadTimeout(f"nothing came for {timeout:g} s") from exc
        except Exception as exc:  # asyncssh's errors have no common base with OSError
            raise httpcore.ReadError(str(exc)) from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()
        except TimeoutError as exc:
            raise httpcore.WriteTimeout(f"nothing could be sent for {timeout:g} s") from exc
        except Exception as exc:
            raise httpcore.WriteError(str(exc)) from exc

    async def aclose(self) -> None:
        self._writer.close()
        with contextlib.suppress(Exception):  # it is closed, whatever the other side makes of it
            await asyncio.wait_for(self._writer.wait_closed(), 1.0)

    def get_extra_info(self, info: str) -> typing.Any:
        # httpcore asks this of an idle connection: readable means that the server has closed it.
        if info == "is_readable":
            return self._reader.at_eof() or self._writer.is_closing()
        return None


@contextlib.contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    """Raise httpx's exception of the same name, as its own transport does; the cause stays the first one."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as exc:
        kind = getattr(httpx, type(exc).__name__)
        # The pool raises on `from None`, which leaves what our backend caught in the context only.
        raise kind(str(exc), request=request) from exc.__cause__ or exc.__context__ or exc
