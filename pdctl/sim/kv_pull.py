"""One-sided reads of a peer's KV, as MoRI-IO READ and NIXL do them: a handshake per peer, then reads.

The reader keeps what it learnt at the handshake for ever, keyed by the peer's engine id. MoRI-IO's ids are
"ip:handshake_port", so a peer that was reborn on the same port is met with memory keys of its former life; the nonce
stands for those keys, and a read with a stale one is refused (vLLM 0.33 moriio_connector.py never evicts them).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pdctl.sim.kv_pins import Pins
from pdctl.sim.transfer import Address, Message, TransferError, ask

_RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class KvTiming:
    """How long KV takes: `latency_s` per transfer plus bytes over `bytes_per_s`; scaled by the engine's speed."""

    latency_s: float
    bytes_per_token: float
    bytes_per_s: float = 20e9  # measured order of one 400G rail; the prior of the performance model
    speed: float = 1.0

    def transfer_s(self, tokens: int, slowness: float = 1.0) -> float:
        wire_s = tokens * self.bytes_per_token / self.bytes_per_s
        return slowness * (self.latency_s + wire_s) / self.speed

    def tail_s(self, tokens: int, overlapped_s: float, slowness: float = 1.0) -> float:
        """What is left of a transfer after a prefill of `overlapped_s` during which layers were sent already."""
        wire_s = slowness * tokens * self.bytes_per_token / self.bytes_per_s / self.speed
        return slowness * self.latency_s / self.speed + max(0.0, wire_s - overlapped_s)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an engine is to its peers; the nonce changes with every start."""

    engine_id: str
    nonce: str


class PullSource:
    """The side that is read from: answers handshakes and reads out of what is pinned."""

    def __init__(self, me: Identity, pins: Pins, slowness: Callable[[], float]) -> None:
        self._me = me
        self._pins = pins
        self._slowness = slowness

    def answer(self, message: Message) -> Message:
        """Reply to `get_meta_msg` and `read`. Raises ValueError on another type."""
        if message["type"] == "get_meta_msg":
            return {"type": "meta", "engine_id": self._me.engine_id, "nonce": self._me.nonce}
        if message["type"] != "read":
            raise ValueError(f"unexpected message type {message['type']!r}")
        if message["nonce"] != self._me.nonce:
            return {"type": "refused", "error": "remote access error: stale memory key"}
        request = self._pins.get(message["key"])
        if request is None:
            return {"type": "refused", "error": "remote blocks are no longer held"}
        return {"type": "kv", "digest": request.answer.digest, "slowness": self._slowness()}


class PullReader:
    """The side that reads. `handshakes` counts peers, not requests."""

    def __init__(self, timing: KvTiming, handshake_timeout_s: float) -> None:
        self._timing = timing
        self._handshake_timeout_s = handshake_timeout_s
        self._nonces: dict[str, str] = {}

    @property
    def peers(self) -> int:
        return len(self._nonces)

    async def handshake(self, engine_id: str, address: Address) -> bool:
        """Learn the peer's keys once; True when this call did it. Raises TransferError past the timeout."""
        if engine_id in self._nonces:
            return False
        try:
            async with asyncio.timeout(self._handshake_timeout_s):
                while True:
                    try:
                        reply = await ask(address, {"type": "get_meta_msg"})
                        break
                    except TransferError:
                        await asyncio.sleep(_RETRY_S)  # a ZMQ socket keeps connecting, too
        except TimeoutError:
            raise TransferError(f"no handshake with {address[0]}:{address[1]}") from None
        self._nonces.setdefault(engine_id, str(reply["nonce"]))
        return True

    def nonce(self, engine_id: str) -> str:
        return self._nonces[engine_id]

    async def read(self, engine_id: str, address: Address, key: str, tokens: int, slowness: float) -> int:
        """Bring the KV of one prompt; its digest. Raises TransferError when the peer is gone or refuses."""
        reply = await ask(address, {"type": "read", "key": key, "nonce": self._nonces[engine_id]})
        if reply["type"] != "kv":
            raise TransferError(str(reply.get("error", "refused")))
        await asyncio.sleep(self._timing.transfer_s(tokens, max(slowness, float(reply["slowness"]))))
        return int(reply["digest"])
