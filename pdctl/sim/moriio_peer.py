"""MoRI-IO's addresses: who the peer of a request is (vLLM 0.33 moriio_common.py).

The router writes both ends into the request id, `___prefill_addr_{zmq}___decode_addr_{zmq}_{32 hex}`, each zmq address
being `host:IP,handshake:PORT,notify:PORT`. Without that, explicit remote_* keys of kv_transfer_params are used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdctl.sim.transfer import Address

_PREFILL = re.compile(r"___prefill_addr_(.+?)___decode_addr_")
_DECODE = re.compile(r"___decode_addr_(.+?)_[0-9a-f]{32}")
_ZMQ = re.compile(r"host:(?P<host>[^,]+),handshake:(?P<handshake>\d+),notify:(?P<notify>\d+)")


@dataclass(frozen=True, slots=True)
class Peer:
    """The base ports of one engine; rank r listens on port + r."""

    host: str
    handshake_port: int
    notify_port: int

    @property
    def engine_id(self) -> str:
        return f"{self.host}:{self.handshake_port}"

    def handshake(self, rank: int) -> Address:
        return self.host, self.handshake_port + rank

    def notify(self, rank: int) -> Address:
        return self.host, self.notify_port + rank


def parse_zmq_address(text: str) -> Peer | None:
    """`host:IP,handshake:PORT,notify:PORT`, or None."""
    match = _ZMQ.fullmatch(text)
    if match is None:
        return None
    return Peer(match["host"], int(match["handshake"]), int(match["notify"]))


def find_peer(request_id: str, params: Mapping[str, Any], *, producer: bool) -> Peer | None:
    """The other end of a request: its decode for a producer, its prefill for a consumer; None when nothing says."""
    match = (_DECODE if producer else _PREFILL).search(request_id)
    peer = parse_zmq_address(match[1]) if match else None
    if peer is not None:
        return peer
    host, handshake = params.get("remote_host"), params.get("remote_handshake_port")
    notify = params.get("remote_notify_port")
    if host and handshake and notify:
        return Peer(str(host), int(handshake), int(notify))
    return None


def zmq_address(peer: Peer) -> str:
    """The address as the router writes it."""
    return f"host:{peer.host},handshake:{peer.handshake_port},notify:{peer.notify_port}"
