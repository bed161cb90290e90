"""Where a load is sent: an OpenAI-compatible server's URL, taken apart, and its addresses."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from pdctl.errors import BenchError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`base` is the path that comes before `/v1/…`: "" for most servers."""

    scheme: str
    host: str
    port: int
    base: str

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def tls(self) -> ssl.SSLContext | None:
        """Certificates are checked against the system's (and those of SSL_CERT_FILE). None: plain HTTP."""
        return ssl.create_default_context() if self.scheme == "https" else None


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a host, as `connect` takes it."""

    family: socket.AddressFamily
    ip: str
    port: int


def endpoint_of(url: str) -> Endpoint:
    """ "http://10.0.0.1:30000", with or without a path (a last `/v1` is dropped, as OpenAI's clients want it there).

    Raises BenchError where that is no such URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BenchError(f"no URL: {url}: {error}", hint="as http://10.0.0.1:30000") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise BenchError(f"no http:// or https:// URL: {url}", hint="as http://10.0.0.1:30000")
    if parts.username is not None or parts.query or parts.fragment:
        raise BenchError(f"a URL with more than host, port and path: {url}", hint="the key goes into --api-key-env")
    base = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return Endpoint(parts.scheme, parts.hostname, port if port is not None else _PORTS[parts.scheme], base)


async def resolve(endpoint: Endpoint) -> tuple[Address, ...]:
    """Looked up once for a whole load, so that no request waits for a name server. Raises BenchError."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BenchError(f"no address for {endpoint.host}: {error}", hint="is the name right?") from error
    return tuple(Address(family, str(name[0]), int(name[1])) for family, _, _, _, name in found)
