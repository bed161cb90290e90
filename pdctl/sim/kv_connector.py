"""What an engine core and a KV connector ask of each other, and the connector of an engine that has none."""

from __future__ import annotations

from typing import Protocol

from pdctl.sim.sim_request import SimRequest


class EngineDied(Exception):
    """Something happened that ends a real engine core. The message is the cause that it would log."""


class KvHost(Protocol):
    """The engine core as a connector sees it."""

    def kv_landed(self, request: SimRequest, digest: int) -> None:
        """The KV of a deferred request has arrived; `digest` says of which prompt."""
        ...

    def kv_failed(self, request: SimRequest) -> None:
        """The KV of a deferred request will not come."""
        ...

    def kv_released(self, request: SimRequest) -> None:
        """The peer has the KV of a finished request, or its deadline is over: free the pinned blocks."""
        ...

    def die(self, cause: str) -> None:
        """The engine core ends: every request fails, /health turns 503."""
        ...


class KvConnector(Protocol):
    """Moves KV between engines."""

    async def start(self, host: KvHost) -> None:
        """Open the listeners. Raises OSError when a port is taken."""
        ...

    async def close(self) -> None: ...

    def classify(self, request: SimRequest) -> None:
        """Set the request's leg from its kv_params. Raises EngineDied where vLLM's scheduler step raises."""
        ...

    def start_fetch(self, request: SimRequest) -> None:
        """A FETCH_ASYNC request has blocks: ask for its KV; the answer comes through the host."""
        ...

    async def pull(self, request: SimRequest) -> int | None:
        """A FETCH_SYNC request is being scheduled: bring its KV; the prompt's digest, None when it failed.

        Raises EngineDied when a transfer is in flight past its timeout.
        """
        ...

    def ended(self, request: SimRequest, outcome: str) -> bool:
        """The request has ended; True keeps its blocks until the host hears `kv_released`. Sets `kv_reply`."""
        ...


class NoConnector:
    """An engine that serves alone (colocated, role mixed)."""

    async def start(self, host: KvHost) -> None:
        return

    async def close(self) -> None:
        return

    def classify(self, request: SimRequest) -> None:
        return

    def start_fetch(self, request: SimRequest) -> None:
        raise AssertionError("nothing is fetched without a connector")

    async def pull(self, request: SimRequest) -> int | None:
        raise AssertionError("nothing is pulled without a connector")

    def ended(self, request: SimRequest, outcome: str) -> bool:
        return False
