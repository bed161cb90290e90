"""NixlConnector's request contract: decode pulls, asynchronously, after the prefill has answered.

The prefill's answer names its side channel and blocks; the decode request waits, deferred, while it reads; the
prefill's blocks are held until the decode's notification or the lease is over (vLLM 0.32 nixl, run on CPU).
"""

from __future__ import annotations

import asyncio

from pdctl.sim.engine_log import EngineLog
from pdctl.sim.faults import Faults
from pdctl.sim.kv_connector import KvHost
from pdctl.sim.kv_pins import Pins
from pdctl.sim.kv_pull import Identity, KvTiming, PullReader, PullSource
from pdctl.sim.nixl_metrics import NixlStats
from pdctl.sim.sim_request import Leg, SimRequest
from pdctl.sim.transfer import Address, Links, Listener, Message, TransferError

LEASE_S = 30.0


class NixlConnector:
    """KvConnector in NIXL's dialect. `side_channel` is (host, first port); rank r listens on port + r."""

    def __init__(
        self,
        me: Identity,
        side_channel: Address,
        ranks: int,
        tp_size: int,
        block_tokens: int,
        timing: KvTiming,
        faults: Faults,
        log: EngineLog,
        stats: NixlStats,
        *,
        lease_s: float = LEASE_S,
        transfer_timeout_s: float = 30.0,
    ) -> None:
        self._me = me
        self._host_name, self._port = side_channel
        self._tp_size = tp_size
        self._block_tokens = block_tokens
        self._faults = faults
        self._log = log
        self._stats = stats
        self._timing = timing
        self._timeout_s = transfer_timeout_s
        self._pins = Pins(lease_s, self._expired)
        self._source = PullSource(me, self._pins, lambda: faults.slowness)
        self._reader = PullReader(timing, transfer_timeout_s)
        self._links = Links(transfer_timeout_s)
        ports = range(self._port, self._port + ranks)
        self._listeners = [Listener(self._host_name, port, self._heard, self._broken) for port in ports]
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._host: KvHost | None = None

    async def start(self, host: KvHost) -> None:
        self._host = host
        for listener in self._listeners:
            await listener.start()

    async def close(self) -> None:
        for task in tuple(self._fetches.values()):
            task.cancel()
        await asyncio.gather(*self._fetches.values(), return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        self._pins.close()
        await self._links.close()

    def classify(self, request: SimRequest) -> None:
        params = request.kv_params
        if params.get("do_remote_decode"):
            request.leg = Leg.PREFILL
        elif params.get("do_remote_prefill") and params.get("remote_block_ids"):
            request.leg = Leg.FETCH_ASYNC

    def start_fetch(self, request: SimRequest) -> None:
        task = asyncio.get_running_loop().create_task(self._fetch(request))
        self._fetches[request.id] = task
        task.add_done_callback(lambda _: self._fetches.pop(request.id, None))

    async def pull(self, request: SimRequest) -> int | None:
        raise AssertionError("NIXL loads KV asynchronously")

    def ended(self, request: SimRequest, outcome: str) -> bool:
        if request.leg is Leg.PREFILL and outcome == "length":
            self._pins.hold(request.id, request)
            request.kv_reply = self._reply(request)
            return True
        if request.leg is Leg.FETCH_ASYNC and not request.fetched:
            task = self._fetches.get(request.id)
            if task is not None:
                task.cancel()
            self._notify(request)
        return False

    async def _fetch(self, request: SimRequest) -> None:
        assert self._host is not None
        params = request.kv_params
        engine_id, address = str(params["remote_engine_id"]), self._peer(request)
        begun_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._reader.handshake(engine_id, address)
                digest = await self._reader.read(
                    engine_id, address, str(params["remote_request_id"]), request.prompt_tokens, self._faults.slowness
                )
        except (TransferError, TimeoutError) as error:
            self._log.error("nixl_connector.py:2255", f"NIXL transfer failed for request {request.id}: {error}")
            self._log.warning("scheduler.py:1990", "Failing 1 request(s) due to KV load failure")
            self._stats.failed(request.rank)
            self._host.kv_failed(request)
            return
        took_s = asyncio.get_running_loop().time() - begun_s
        blocks = sum(len(group) for group in params["remote_block_ids"])
        size_bytes = blocks * self._block_tokens * self._timing.bytes_per_token  # the last block moves whole, too
        self._stats.transferred(request.rank, took_s, size_bytes, blocks)
        self._notify(request)
        self._host.kv_landed(request, digest)

    def _peer(self, request: SimRequest) -> Address:
        params = request.kv_params
        return str(params["remote_host"]), int(params["remote_port"])

    def _notify(self, request: SimRequest) -> None:
        self._links.send(self._peer(request), {"type": "release", "key": str(request.kv_params["remote_request_id"])})

    def _reply(self, request: SimRequest) -> dict[str, object]:
        return {
            "do_remote_prefill": True,
            "do_remote_decode": False,
            "remote_block_ids": [list(request.holding.ids) if request.holding else []],
            "remote_engine_id": self._me.engine_id,
            "remote_request_id": request.id,
            "remote_host": self._host_name,
            "remote_port": self._port + request.rank,
            "tp_size": self._tp_size,
            "dcp_size": 1,
            "pp_size": 1,
            "remote_num_tokens": request.prompt_tokens,
            "remote_blocks_expiry_time": None,
            "transfer_mode": "pull",
            "remote_prefill_cached_tokens": 0,
        }

    def _heard(self, message: Message) -> Message | None:
        if message["type"] != "release":
            return self._source.answer(message)
        request = self._pins.release(str(message["key"]))
        if request is not None and self._host is not None:
            self._host.kv_released(request)
        return None

    def _expired(self, key: str, request: SimRequest) -> None:
        self._stats.expired(request.rank)
        self._log.warning("nixl_connector.py:1672", f"Releasing expired KV blocks for request {key}")
        if self._host is not None:
            self._host.kv_released(request)

    def _broken(self, port: int, error: Exception) -> None:
        self._log.traceback("nixl_connector.py:603", f"{type(error).__name__}: {error} (listener on port {port})")
