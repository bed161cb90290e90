"""MoRI-IO WRITE: the prefill pushes KV into blocks that the decode has allocated."""

from __future__ import annotations

import asyncio
from typing import Any

from pdctl.sim.kv_pins import Pins
from pdctl.sim.moriio import Parts
from pdctl.sim.sim_request import SimRequest
from pdctl.sim.transfer import Message, TransferError


class WriteProducer:
    """The prefill's half. A write starts when the prefill is computed and the decode's blocks are known.

    The decode may ask first: its `remote_blocks` wait here, no longer than the defer timeout.
    """

    def __init__(self, parts: Parts, pins: Pins) -> None:
        self._parts = parts
        self._pins = pins
        self._asked: dict[str, tuple[Message, asyncio.TimerHandle]] = {}
        self._writes: set[asyncio.Task[None]] = set()

    def heard(self, message: Message) -> None:
        key = str(message["transfer_id"])
        if message["type"] == "release":
            self._forget(key)
            request = self._pins.release(key)
            if request is not None:
                self._parts.host.kv_released(request)
        elif message["type"] != "remote_blocks":
            raise ValueError(f"unexpected message type {message['type']!r}")
        elif key in self._pins.over:
            return
        elif self._pins.get(key) is not None:
            self._start(key, message)
        else:
            timer = asyncio.get_running_loop().call_later(self._parts.settings.defer_timeout_s, self._forget, key)
            self._asked[key] = (message, timer)

    def ended(self, request: SimRequest, outcome: str) -> bool:
        key = request.transfer_id
        if outcome != "length" or key in self._pins.over:
            self._forget(key)
            self._pins.over.add(key)
            return False
        self._pins.hold(key, request)
        entry = self._asked.get(key)
        if entry is not None:
            self._start(key, entry[0])
        return True

    def start_fetch(self, request: SimRequest) -> None:
        raise AssertionError("a producer fetches nothing")

    async def pull(self, request: SimRequest) -> int | None:
        raise AssertionError("a producer pulls nothing")

    async def close(self) -> None:
        for key in tuple(self._asked):
            self._forget(key)
        for task in tuple(self._writes):
            task.cancel()
        await asyncio.gather(*self._writes, return_exceptions=True)

    def _forget(self, key: str) -> None:
        entry = self._asked.pop(key, None)
        if entry is not None:
            entry[1].cancel()

    def _start(self, key: str, asked: Message) -> None:
        self._forget(key)
        request = self._pins.get(key)
        assert request is not None
        self._pins.stop_clock(key)
        task = asyncio.get_running_loop().create_task(self._write(key, request, int(asked["decode_rank"])))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, key: str, request: SimRequest, decode_rank: int) -> None:
        """Write, tell the decode, let go of the blocks. A failed write is not told: the decode goes on waiting."""
        parts = self._parts
        peer = parts.peer(request)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(parts.settings.transfer_timeout_s):
                started_s = loop.time()
                if await parts.reader.handshake(peer.engine_id, peer.handshake(decode_rank)):
                    took_ms = 1000 * (loop.time() - started_s)
                    parts.log.info("moriio_connector.py:2250", f"MoRIIO handshake: get metadata took: {took_ms:.3f} ms")
                await asyncio.sleep(self._tail_s(request))
        except (TransferError, TimeoutError) as error:
            parts.log.error("moriio_engine.py:303", f"Write task failed for request {request.id}: {error}")
        else:
            if "lose_write_ack" not in parts.faults:
                done = {
                    "type": "write_done",
                    "transfer_id": key,
                    "digest": request.answer.digest,
                    "nonce": parts.reader.nonce(peer.engine_id),
                }
                parts.links.send(peer.notify(decode_rank), done)
        finally:
            if self._pins.release(key) is not None:
                parts.host.kv_released(request)

    def _tail_s(self, request: SimRequest) -> float:
        """Layers are sent while later ones are computed; what was asked for in time overlaps the prefill."""
        overlapped_s = 0.0
        if request.scheduled_s is not None and request.finished_s is not None:
            overlapped_s = request.finished_s - request.scheduled_s
        return self._parts.timing.tail_s(request.prompt_tokens, overlapped_s, self._parts.faults.slowness)


class WriteConsumer:
    """The decode's half: blocks are offered to the prefill, the request waits for the prefill's word."""

    def __init__(self, parts: Parts, pins: Pins) -> None:
        self._parts = parts
        self._waiting: dict[str, SimRequest] = {}

    def start_fetch(self, request: SimRequest) -> None:
        self._waiting[request.transfer_id] = request
        self._tell(
            request,
            {
                "type": "remote_blocks",
                "req_id": request.id,
                "transfer_id": request.transfer_id,
                "block_notify_list": list(request.holding.ids) if request.holding else [],
                "decode_rank": request.rank,
            },
        )

    def heard(self, message: Message) -> None:
        key = str(message["transfer_id"])
        if message["type"] == "write_done":
            self._written(key, message)
        elif message["type"] == "write_failed":
            request = self._waiting.pop(key, None)
            if request is not None:
                self._parts.log.warning("scheduler.py:1990", "Failing 1 request(s) due to KV load failure")
                self._parts.host.kv_failed(request)
        else:
            raise ValueError(f"unexpected message type {message['type']!r}")

    def ended(self, request: SimRequest, outcome: str) -> bool:
        if not request.fetched:
            self._waiting.pop(request.transfer_id, None)
            self._tell(request, {"type": "release", "transfer_id": request.transfer_id, "consumer_tp_size": self._tp()})
        return False

    async def pull(self, request: SimRequest) -> int | None:
        raise AssertionError("WRITE pulls nothing")

    async def close(self) -> None:
        self._waiting.clear()

    def _written(self, key: str, message: Message) -> None:
        if message["nonce"] != self._parts.settings.nonce:
            # The writer used the keys of our former life: its RDMA write failed, nothing arrived here.
            self._parts.log.error("moriio_engine.py:1075", f"stale remote write for transfer {key} was rejected")
            return
        request = self._waiting.pop(key, None)
        if request is not None:
            self._parts.host.kv_landed(request, int(message["digest"]))

    def _tp(self) -> int:
        return self._parts.settings.tp_size

    def _tell(self, request: SimRequest, message: dict[str, Any]) -> None:
        rank = int(request.kv_params.get("remote_dp_rank") or 0)
        self._parts.links.send(self._parts.peer(request).notify(rank), message)
