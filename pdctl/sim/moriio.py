"""MoRIIOConnector's request contract, WRITE and READ (vLLM 0.33 moriio_connector.py, moriio_engine.py).

One connector per engine: it opens a handshake and a notify port per rank and hands what it hears to the half that the
engine's role and mode ask for. Which half does what:

| | prefill (producer) | decode (consumer) |
|---|---|---|
| WRITE | pins; waits for `remote_blocks`, writes, sends `write_done` | deferred from `remote_blocks` to `write_done` |
| READ | pins until `release` | handshakes and pulls inside a step, sends `release` |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pdctl.sim.engine_log import EngineLog
from pdctl.sim.faults import Faults
from pdctl.sim.kv_connector import EngineDied, KvHost
from pdctl.sim.kv_pins import Pins
from pdctl.sim.kv_pull import Identity, KvTiming, PullReader, PullSource
from pdctl.sim.moriio_peer import Peer, find_peer
from pdctl.sim.sim_request import Leg, SimRequest
from pdctl.sim.transfer import Links, Listener, Message


@dataclass(frozen=True, slots=True)
class MoriioSettings:
    """What kv_connector_extra_config and the parallel layout say. Timeouts in seconds."""

    me: Peer
    nonce: str
    producer: bool
    read_mode: bool
    dp_size: int = 1
    dp_local: int = 1
    tp_size: int = 1
    transfer_timeout_s: float = 30.0
    defer_timeout_s: float = 60.0

    @property
    def identity(self) -> Identity:
        return Identity(self.me.engine_id, self.nonce)


@dataclass(frozen=True, slots=True)
class Parts:
    """What every half works with."""

    settings: MoriioSettings
    timing: KvTiming
    faults: Faults
    log: EngineLog
    links: Links
    reader: PullReader
    host: KvHost

    def peer(self, request: SimRequest) -> Peer:
        """The request's other end. Raises EngineDied where vLLM's scheduler step raises ValueError."""
        peer = find_peer(request.raw_id, request.kv_params, producer=self.settings.producer)
        if peer is None:
            raise EngineDied(
                f"ValueError: cannot resolve the remote address of request {request.id}: neither the request id nor "
                "kv_transfer_params names it"
            )
        return peer


class Half(Protocol):
    """One role in one mode."""

    def heard(self, message: Message) -> None:
        """A message came in on a notify port. Raises ValueError or KeyError when it makes no sense."""
        ...

    def start_fetch(self, request: SimRequest) -> None: ...

    async def pull(self, request: SimRequest) -> int | None: ...

    def ended(self, request: SimRequest, outcome: str) -> bool: ...

    async def close(self) -> None: ...


class HalfFactory(Protocol):
    def __call__(self, parts: Parts, pins: Pins) -> Half: ...


class MoriioConnector:
    """KvConnector in MoRI-IO's dialect; `half` makes the part for this engine's role and mode."""

    def __init__(
        self, settings: MoriioSettings, timing: KvTiming, faults: Faults, log: EngineLog, half: HalfFactory
    ) -> None:
        self._settings = settings
        self._timing = timing
        self._faults = faults
        self._log = log
        self._make_half = half
        self._pins = Pins(settings.defer_timeout_s, self._timed_out)
        self._source = PullSource(settings.identity, self._pins, lambda: faults.slowness)
        self._links = Links(settings.transfer_timeout_s)
        self._half: Half | None = None
        self._parts: Parts | None = None
        self._listeners: list[Listener] = []

    async def start(self, host: KvHost) -> None:
        settings, me = self._settings, self._settings.me
        reader = PullReader(self._timing, settings.transfer_timeout_s)
        self._parts = Parts(settings, self._timing, self._faults, self._log, self._links, reader, host)
        self._half = self._make_half(self._parts, self._pins)
        self._log.info("moriio_connector.py:305", f"Initialized MoRIIO Connector,engine_id: {settings.me.engine_id}")
        for offset in self._offsets():
            await self._listen(Listener(me.host, me.handshake_port + offset, self._source.answer, self._broken))
            await self._listen(Listener(me.host, me.notify_port + offset, self._heard, self._broken))
        self._log.info(
            "moriio_engine.py:1120",
            f"Node starting to listen notify from path = tcp://*:{settings.me.notify_port}",
        )

    async def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._pins.close()
        if self._half is not None:
            await self._half.close()
        await self._links.close()

    def classify(self, request: SimRequest) -> None:
        params = request.kv_params
        if params.get("do_remote_decode"):
            request.leg = Leg.PREFILL
        elif params.get("do_remote_prefill"):
            request.leg = Leg.FETCH_SYNC if self._settings.read_mode else Leg.FETCH_ASYNC
        else:
            return
        assert self._parts is not None
        self._parts.peer(request)

    def start_fetch(self, request: SimRequest) -> None:
        self._role().start_fetch(request)

    async def pull(self, request: SimRequest) -> int | None:
        return await self._role().pull(request)

    def ended(self, request: SimRequest, outcome: str) -> bool:
        if request.leg is Leg.LOCAL:
            return False
        if request.leg is Leg.PREFILL and outcome == "length":
            request.kv_reply = hand_over(self._settings, request)
        return self._role().ended(request, outcome)

    def _role(self) -> Half:
        assert self._half is not None, "start() comes first"
        return self._half

    def _offsets(self) -> list[int]:
        """vLLM's listeners call the port offset with its default tp_size=1: dp rank + tp rank, clashes included."""
        return [dp + tp for dp in range(self._settings.dp_local) for tp in range(self._settings.tp_size)]

    async def _listen(self, listener: Listener) -> None:
        await listener.start()
        self._listeners.append(listener)

    def _heard(self, message: Message) -> Message | None:
        self._role().heard(message)
        return None

    def _timed_out(self, key: str, request: SimRequest) -> None:
        """The peer never came for what is pinned."""
        if self._settings.read_mode:
            self._log.warning(
                "moriio_connector.py:1705",
                "Reaped 1 deferred sends with no finished_sending notification after "
                f"{self._settings.defer_timeout_s:.0f}s",
            )
        else:
            self._log.warning(
                "moriio_engine.py:262",
                f"Deferred write task for request {request.id} timed out after {self._settings.defer_timeout_s:.0f}s",
            )
            self._tell_failed(request)
        if self._parts is not None:
            self._parts.host.kv_released(request)

    def _tell_failed(self, request: SimRequest) -> None:
        """vLLM 0.33: every decode rank hears of a write that will not happen."""
        assert self._parts is not None
        peer = self._parts.peer(request)
        for rank in range(max(1, int(request.kv_params.get("remote_dp_size") or 1))):
            self._links.send(peer.notify(rank), {"type": "write_failed", "transfer_id": request.transfer_id})

    def _broken(self, port: int, error: Exception) -> None:
        self._log.traceback(
            "moriio_engine.py:995",
            f"{type(error).__name__}: {error} (listener on port {port})",
            ("vllm/distributed/kv_transfer/kv_connector/v1/moriio/moriio_engine.py:991 _async_wait_notify",),
        )


def hand_over(settings: MoriioSettings, request: SimRequest) -> dict[str, object]:
    """The kv_transfer_params of a prefill's answer (vLLM 0.33 moriio_connector.py, request_finished)."""
    return {
        "do_remote_prefill": True,
        "do_remote_decode": False,
        "remote_block_ids": [list(request.holding.ids) if request.holding else []],
        "remote_engine_id": settings.me.engine_id,
        "remote_host": settings.me.host,
        "remote_handshake_port": settings.me.handshake_port,
        "remote_notify_port": settings.me.notify_port,
        "remote_dp_rank": request.rank,
        "remote_dp_rank_override": True,
        "remote_dp_size": settings.dp_size,
        "remote_dp_size_local": settings.dp_local,
        "remote_tp_size": settings.tp_size,
        "tp_size": settings.tp_size,
        "transfer_id": request.transfer_id,
    }
