"""What a prefill engine keeps for its decode peers: pinned requests by transfer id, each with a deadline."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from pdctl.sim.sim_request import SimRequest

TERMINAL_IDS_KEPT = 4096
"""vLLM 0.33 moriio_engine.py keeps as many ids of finished transfers, to ignore late messages."""


class TerminalIds:
    """The last transfer ids that are over; bounded."""

    def __init__(self, keep: int = TERMINAL_IDS_KEPT) -> None:
        self._keep = keep
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, key: str) -> None:
        self._ids[key] = None
        self._ids.move_to_end(key)
        if len(self._ids) > self._keep:
            self._ids.popitem(last=False)

    def __contains__(self, key: str) -> bool:
        return key in self._ids


class Pins:
    """Requests whose blocks are held until a peer has taken the KV, or `timeout_s` has passed."""

    def __init__(self, timeout_s: float, on_timeout: Callable[[str, SimRequest], None]) -> None:
        self._timeout_s = timeout_s
        self._on_timeout = on_timeout
        self._held: dict[str, tuple[SimRequest, asyncio.TimerHandle]] = {}
        self.over = TerminalIds()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: str) -> SimRequest | None:
        entry = self._held.get(key)
        return None if entry is None else entry[0]

    def hold(self, key: str, request: SimRequest) -> None:
        timer = asyncio.get_running_loop().call_later(self._timeout_s, self._expire, key)
        self._held[key] = (request, timer)

    def release(self, key: str) -> SimRequest | None:
        """Stop holding; the request, or None when nothing (more) was held. The id counts as over from now on."""
        self.over.add(key)
        entry = self._held.pop(key, None)
        if entry is None:
            return None
        entry[1].cancel()
        return entry[0]

    def stop_clock(self, key: str) -> None:
        """The peer has turned up: what is held stays held, without a deadline."""
        entry = self._held.get(key)
        if entry is not None:
            entry[1].cancel()

    def close(self) -> None:
        for _, timer in self._held.values():
            timer.cancel()
        self._held.clear()

    def _expire(self, key: str) -> None:
        request = self.release(key)
        if request is not None:
            self._on_timeout(key, request)
