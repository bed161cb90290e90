"""Failures on command: named, set by the environment or live, cleared live.

| name | effect |
|---|---|
| crash | the process ends at once, as after a segmentation fault |
| hang | the engine loop stands still; /health stays 200 |
| errors500 | every completion is answered with 500 |
| slow_kv=F | KV transfers take F times as long (default 10) |
| lose_write_ack | WRITE: the prefill never tells that its KV was written |
| exit_at_start | a traceback and exit status 1 instead of a start |
| never_ready | the HTTP port never opens |
| corrupt | generated text is not what the prompt asks for |
| ignore_sigterm | SIGTERM does nothing |
| broken_pair | KV from one peer (a prefill's host) does not arrive: the request fails |
| corrupt_pair | KV from one peer is not what it computed: the text is wrong, the answer 200 |
| vram_held | the VRAM figures stay behind after the exit |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

NAMES = frozenset(
    (
        "crash",
        "hang",
        "errors500",
        "slow_kv",
        "lose_write_ack",
        "exit_at_start",
        "never_ready",
        "corrupt",
        "ignore_sigterm",
        "vram_held",
        "broken_pair",
        "corrupt_pair",
    )
)
DEFAULT_SLOWNESS = 10.0


class UnknownFault(ValueError):
    """No failure has this name."""


class Faults:
    """The failures in force: name -> factor (1.0 where a factor means nothing)."""

    def __init__(self, active: Mapping[str, float] | None = None) -> None:
        self._active: dict[str, float] = {}
        self._peers: dict[str, str] = {}
        self._listeners: list[Callable[[], None]] = []
        for name, factor in (active or {}).items():
            self.set(name, factor)

    def __contains__(self, name: str) -> bool:
        return name in self._active

    @property
    def slowness(self) -> float:
        """Factor on the time of KV transfers."""
        return self._active.get("slow_kv", 1.0)

    def active(self) -> dict[str, float]:
        return dict(self._active)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change."""
        self._listeners.append(listener)

    def on_pair(self, name: str, request_id: str) -> bool:
        """Whether a failure of one pair is in force for this request, whose id names its prefill."""
        peer = self._peers.get(name)
        return peer is not None and re.search(rf"___prefill_addr_\D*{re.escape(peer)}[,:]", request_id) is not None

    def set(self, name: str, factor: float | None = None, peer: str = "") -> None:
        """Put a failure in force; one of a pair needs the peer's host. Raises UnknownFault."""
        if name not in NAMES:
            raise UnknownFault(f"unknown fault {name!r}; one of {', '.join(sorted(NAMES))}")
        default = DEFAULT_SLOWNESS if name == "slow_kv" else 1.0
        if name.endswith("_pair"):
            if not peer:
                raise UnknownFault(f"{name} needs the host of a peer")
            self._peers[name] = peer
        self._active[name] = default if factor is None else float(factor)
        self._tell()

    def clear(self, name: str | None = None) -> None:
        """Lift one failure, or all of them."""
        if name is None:
            self._active.clear()
            self._peers.clear()
        else:
            self._active.pop(name, None)
            self._peers.pop(name, None)
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def parse_faults(text: str) -> dict[str, float]:
    """`slow_kv=20,errors500` or a JSON object of names to factors. Raises UnknownFault or ValueError."""
    text = text.strip()
    found: dict[str, Any] = {}
    if text.startswith("{"):
        found = json.loads(text)
    else:
        for item in filter(None, (part.strip() for part in text.split(","))):
            name, _, factor = item.partition("=")
            found[name] = float(factor) if factor else (DEFAULT_SLOWNESS if name == "slow_kv" else 1.0)
    unknown = sorted(set(found) - NAMES)
    if unknown:
        raise UnknownFault(f"unknown fault {unknown[0]!r}; one of {', '.join(sorted(NAMES))}")
    return {name: float(factor) for name, factor in found.items()}
