"""The few words of ASGI that the simulated engine needs; a framework would cost more to import than all the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, its body read whole. Header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    body: bytes
    receive: Receive


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A whole answer."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


async def read_request(scope: Scope, receive: Receive) -> HttpRequest | None:
    """Read the request to its end; None when the client left meanwhile."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    return HttpRequest(scope["method"], scope["path"], headers, query, bytes(body), receive)


async def send_reply(send: Send, reply: HttpReply) -> None:
    """Send a whole answer."""
    headers = [("content-length", str(len(reply.body))), *reply.headers]
    if reply.body:
        headers.append(("content-type", reply.content_type))
    await start(send, reply.status, headers)
    await send({"type": "http.response.body", "body": reply.body})


async def start(send: Send, status: int, headers: list[tuple[str, str]]) -> None:
    """Send status and headers; the body follows in pieces."""
    encoded = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


async def until_disconnect(receive: Receive) -> None:
    """Return when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
