"""MoRI-IO READ: the decode pulls KV, inside an engine step, after the prefill has answered."""

from __future__ import annotations

import asyncio

from pdctl.sim.kv_connector import EngineDied
from pdctl.sim.kv_pins import Pins
from pdctl.sim.moriio import Parts
from pdctl.sim.moriio_peer import Peer
from pdctl.sim.sim_request import SimRequest
from pdctl.sim.transfer import Message, TransferError


class ReadProducer:
    """The prefill's half: it only holds on to blocks until their reader lets go."""

    def __init__(self, parts: Parts, pins: Pins) -> None:
        self._parts = parts
        self._pins = pins

    def heard(self, message: Message) -> None:
        if message["type"] != "release":
            raise ValueError(f"unexpected message type {message['type']!r}")
        request = self._pins.release(str(message["transfer_id"]))
        if request is not None:
            self._parts.host.kv_released(request)

    def ended(self, request: SimRequest, outcome: str) -> bool:
        if outcome != "length":
            self._pins.over.add(request.transfer_id)
            return False
        self._pins.hold(request.transfer_id, request)
        return True

    def start_fetch(self, request: SimRequest) -> None:
        raise AssertionError("a producer fetches nothing")

    async def pull(self, request: SimRequest) -> int | None:
        raise AssertionError("a producer pulls nothing")

    async def close(self) -> None:
        return


class ReadConsumer:
    """The decode's half."""

    def __init__(self, parts: Parts, pins: Pins) -> None:
        self._parts = parts

    async def pull(self, request: SimRequest) -> int | None:
        """Handshake if this peer is new, read, release. A read in flight at the timeout ends the engine."""
        parts = self._parts
        peer = parts.peer(request)
        rank = int(request.kv_params.get("remote_dp_rank") or 0)
        engine_id = str(request.kv_params.get("remote_engine_id") or peer.engine_id)
        try:
            if await parts.reader.handshake(engine_id, peer.handshake(rank)):
                parts.log.info("moriio_connector.py:3240", f"Eager MoRIIO handshake: engine={engine_id} ok=True")
        except TransferError as error:
            parts.log.error("moriio_connector.py:3248", f"Eager MoRIIO handshake failed for {engine_id}: {error}")
            self._release(request, peer, rank)
            return None
        try:
            async with asyncio.timeout(parts.settings.transfer_timeout_s):
                key, tokens = request.transfer_id, request.prompt_tokens
                return await parts.reader.read(engine_id, peer.handshake(rank), key, tokens, parts.faults.slowness)
        except TransferError as error:
            parts.log.error("moriio_connector.py:2940", f"RDMA transfer failed for request {request.id}: {error}")
            return None
        except TimeoutError:
            text = f"RDMA read TIMED OUT for req {request.id} after {parts.settings.transfer_timeout_s:.0f}s"
            parts.log.error("moriio_connector.py:3005", text)
            raise EngineDied(text) from None
        finally:
            self._release(request, peer, rank)

    def ended(self, request: SimRequest, outcome: str) -> bool:
        """An abort before scheduling releases the prefill, too."""
        if request.scheduled_s is None:
            self._release(request, self._parts.peer(request), int(request.kv_params.get("remote_dp_rank") or 0))
        return False

    def heard(self, message: Message) -> None:
        raise ValueError(f"unexpected message type {message['type']!r}")

    def start_fetch(self, request: SimRequest) -> None:
        raise AssertionError("READ loads KV inside a step")

    async def close(self) -> None:
        return

    def _release(self, request: SimRequest, peer: Peer, rank: int) -> None:
        message = {
            "type": "release",
            "transfer_id": request.transfer_id,
            "consumer_tp_size": self._parts.settings.tp_size,
        }
        self._parts.links.send(peer.notify(rank), message)
