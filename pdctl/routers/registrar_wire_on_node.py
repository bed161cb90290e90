"""Part of the registrar: the sending side of ZeroMQ's wire protocol, and one HTTP exchange, without any queue.

A connection serves one round. Registrations are made only after the router's ZeroMQ thread has answered the greeting,
so neither a socket library nor a kernel buffer can hold one that a later fence would have to take back: a pyzmq DEALER
that sent while the router was down had its queue delivered 12 s later (measured with vllm-router 0.1.17).
"""

import socket
import struct
import time
from typing import Any, Callable, Dict, List, Tuple

Json = Dict[str, Any]
ANNOUNCE_S = 0.8  # for the whole of connect, handshake, sending and the router's hanging up
HTTP_S = 3.0  # one poll of a member, or one admin call
BODY_BYTES = 8 << 20
FAILURES = (OSError, ValueError, IndexError, OverflowError)  # what a broken peer or address raises here

# ZMTP 3.0 (rfc.zeromq.org/spec/23): DEALER, NULL mechanism.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
COMMAND, LONG = 4, 2


def frame(body: bytes, flags: int = 0) -> bytes:
    """One ZMTP frame: flags, length (8 bytes if long), body."""
    if len(body) > 255:
        return struct.pack(">BQ", flags | LONG, len(body)) + body
    return struct.pack(">BB", flags, len(body)) + body


def pack(value: Any) -> bytes:
    """MessagePack of a map, a string or an integer below 2**32: all that a registration holds."""
    if isinstance(value, dict):
        return struct.pack(">BH", 0xDE, len(value)) + b"".join(pack(key) + pack(value[key]) for key in value)
    if isinstance(value, int):
        return struct.pack(">B", value) if value < 128 else struct.pack(">BI", 0xCE, value)
    raw: bytes = value.encode()
    return struct.pack(">BH", 0xDA, len(raw)) + raw


def registration(member: Json) -> Json:
    """The heartbeat of vLLM >= 0.21 (0.33: moriio_connector.py); NIXL members have no transfer mode."""
    fields = ("type", "http_address", "zmq_address", "dp_size", "tp_size", "transfer_mode")
    return {field: member[field] for field in fields if member.get(field) is not None}


class Wire:
    """A TCP connection with one deadline over all that is done on it. Failures are `FAILURES`."""

    def __init__(self, address: str, timeout_s: float) -> None:
        host, _, port = address.rpartition(":")
        self._until = time.monotonic() + timeout_s
        self._socket = socket.create_connection((host.strip("[]"), int(port)), timeout_s)
        if self._socket.getsockname() == self._socket.getpeername():
            # Where nobody listens on a loopback port, TCP may meet itself, and would keep the router from binding it.
            self._socket.close()
            raise ConnectionRefusedError("nobody listens on {}".format(address))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: Any) -> None:
        self._socket.close()

    def _bound(self) -> None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self._socket.settimeout(left)

    def send(self, data: bytes, last: bool = False) -> None:
        """Send all of it; `last` says that nothing more comes."""
        self._bound()
        self._socket.sendall(data)
        if last:
            self._socket.shutdown(socket.SHUT_WR)

    def receive(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        data = b""
        while len(data) < count:
            self._bound()
            more = self._socket.recv(count - len(data))
            if not more:
                raise ConnectionResetError("hung up")
            data += more
        return data

    def rest(self, limit: int) -> bytes:
        """All that comes until the other side hangs up, about `limit` bytes at most."""
        parts, size = [], 0
        while size < limit:
            self._bound()
            more = self._socket.recv(1 << 16)
            if not more:
                break
            parts.append(more)
            size += len(more)
        return b"".join(parts)


def announce(address: str, messages: Callable[[], List[Json]], timeout_s: float = ANNOUNCE_S) -> None:
    """Register with the router at `address` what `messages` answers once the router has proved to be alive.

    Returns when the router has read all of it and hung up. On one of `FAILURES`, nothing was sent if `messages` was not
    called; if it was, the router may or may not have read it.
    """
    with Wire(address, timeout_s) as wire:
        wire.send(GREETING)
        if wire.receive(64)[10] < 3:
            raise ValueError("not a ZMTP 3 peer")
        wire.send(frame(READY, COMMAND))
        flags, length = wire.receive(2)
        if not flags & COMMAND or flags & LONG or not wire.receive(length).startswith(b"\x05READY"):
            raise ValueError("handshake refused")
        wire.send(b"".join(frame(pack(message)) for message in messages()), last=True)
        wire.rest(1 << 16)


def http(method: str, address: str, path: str, timeout_s: float = HTTP_S) -> Tuple[int, bytes]:
    """One HTTP/1.0 exchange: status and body (8 MiB at most). Raises one of `FAILURES`."""
    with Wire(address, timeout_s) as wire:
        wire.send("{} {} HTTP/1.0\r\nHost: {}\r\nContent-Length: 0\r\n\r\n".format(method, path, address).encode())
        head, _, body = wire.rest(BODY_BYTES).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1."):
        raise ValueError("no HTTP answer")
    return int(head.split(None, 2)[1]), body
