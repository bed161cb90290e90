"""HTTP through the nodes' connections (or directly, where the inventory says so), for probes, canaries and figures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pdctl.control.ports import Answer, NotAnswering, NotListening
from pdctl.errors import NodeError
from pdctl.ssh.ports import Shells

if TYPE_CHECKING:
    import httpx


class NodeHttp:
    """One held client per node. Answers are read whole; they are probes and figures, never bulk."""

    def __init__(self, shells: Shells, direct: frozenset[str] = frozenset()) -> None:
        """`direct` names the nodes whose engines are reached from here without a tunnel."""
        self._shells = shells
        self._direct = direct
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def request(
        self,
        node: str,
        method: str,
        url: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
    ) -> Answer:
        """See `ports.Http`. Raises NotAnswering, with the cause in words."""
        # Costs 40 ms, which are better spent while engines load than before the first of them starts.
        from pdctl.ssh.lean_httpx import httpx

        try:
            answer = await self._client(node).request(
                method, url, json=None if body is None else dict(body), headers=headers, timeout=timeout_s
            )
        except NodeError as error:
            raise NotAnswering(error.cause) from error
        except httpx.TimeoutException:
            raise NotAnswering(f"no answer in {timeout_s:.0f} s") from None
        except (httpx.HTTPError, OSError) as error:
            kind = NotListening if _refused(error) else NotAnswering
            raise kind(str(error) or type(error).__name__) from error
        return Answer(answer.status_code, answer.text)

    async def close(self) -> None:
        """Close all clients."""
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))

    def _client(self, node: str) -> httpx.AsyncClient:
        from pdctl.ssh.http import direct_http_client, shell_http_client

        client = self._clients.get(node)
        if client is None:
            client = direct_http_client() if node in self._direct else shell_http_client(self._shells.shell(node))
            self._clients[node] = client
        return client


def _refused(error: BaseException | None) -> bool:
    """Whether the far side said that nobody listens, rather than that we could not ask."""
    while error is not None and not isinstance(error, ConnectionRefusedError):
        error = error.__cause__
    return error is not None
