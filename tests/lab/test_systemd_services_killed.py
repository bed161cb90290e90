"""The router or the registrar of a serving cluster is killed, while clients stream."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
import pytest_asyncio

from tests.lab.inventory_for import Wanted
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd
from tests.lab.operators import NO_CONNECTION, Operator, completion, operator_of
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

CLIENTS = 8
TOKENS = 40
BACK_S = 0.5
SERVES_S = 10.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serving(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operator]:
    """2P3D on five hosts."""
    async with Lab(5, Systemd()) as lab:
        wanted = Wanted(prefill=2, decode=3, supervisor="systemd")
        operator = operator_of(lab, tmp_path_factory.mktemp("operator"), wanted)
        await operator.succeeds("up")
        yield operator
        await operator.succeeds("down", "--now")


@dataclass(slots=True)
class Load:
    """Requests one after the other by each of some clients: when each began and ended, and its HTTP status."""

    url: str
    requests: list[tuple[float, float, int]] = field(default_factory=list)

    async def client(self) -> None:
        async with httpx.AsyncClient(timeout=60.0, trust_env=False) as client:
            while True:
                began = time.monotonic()
                status = await completion(client, self.url, max_tokens=TOKENS)
                self.requests.append((began, time.monotonic(), status))
                if status != 200:
                    await asyncio.sleep(0.05)

    def begun_after(self, instant: float) -> list[int]:
        """Statuses of what was sent from then on."""
        return [status for began, _, status in self.requests if began >= instant]

    def answered_since(self, instant: float) -> int:
        return sum(status == 200 for status in self.begun_after(instant))

    def failed(self) -> list[tuple[float, float, int]]:
        return [one for one in self.requests if one[2] != 200]


@contextlib.asynccontextmanager
async def loaded(operator: Operator) -> AsyncIterator[Load]:
    """A load that runs until the end of the context."""
    load = Load(operator.url)
    clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
    try:
        await wait_until(lambda: load.answered_since(0.0) > CLIENTS, 30, what="the load runs")
        yield load
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def main_pid(operator: Operator, service: str) -> int:
    shown = await operator.lab.hosts["h1"].run("systemctl", "show", "-p", "MainPID", "--value", f"pdctl.lab.{service}")
    return int(shown)


async def killed(operator: Operator, service: str) -> float:
    """SIGKILL its main process, and wait until another one runs in its place; when it was dead, a little later."""
    host, before = operator.lab.hosts["h1"], await main_pid(operator, service)
    await host.run("kill", "-KILL", str(before))
    instant = time.monotonic()

    async def back() -> bool:
        return await main_pid(operator, service) not in (0, before)

    await wait_until(back, BACK_S, what=f"the {service} is back")
    return instant


async def engines(operator: Operator) -> dict[str, tuple[str, int, int]]:
    """State, pid and generation of every engine."""
    return {
        name: (view["state"], view["pid"], view["generation"])
        for name, view in (await operator.status()).items()
        if "." in name
    }


async def test_router_killed(serving: Operator) -> None:
    """Lost is what was on the dead router, and nothing else: no member, no engine, no request once it answers again."""
    before = await engines(serving)
    async with loaded(serving) as load:
        dead = await killed(serving, "router")
        await wait_until(lambda: load.answered_since(dead) > 0, SERVES_S, what="the router serves again")
        serves = min(end for began, end, status in load.requests if began >= dead and status == 200)
        await wait_until(lambda: load.answered_since(serves) >= 5 * CLIENTS, 60, what="the load goes on")
    assert set(load.begun_after(serves)) == {200}
    assert set(load.begun_after(dead)) <= {200, 503, NO_CONNECTION}, "refused while it was away, and none was cut"
    assert len([one for one in load.failed() if one[0] < dead]) <= CLIENTS, "no more than was in flight"
    assert await engines(serving) == before
    assert (await serving.status())["router"]["restarts"] == 1


async def test_registrar_killed(serving: Operator) -> None:
    """Nobody notices: no request is lost, no member is forgotten."""
    before = await engines(serving)
    async with loaded(serving) as load:
        instant = await killed(serving, "registrar")
        # Past the router's time to live of a member (under 5 s), the new registrar has registered every one again.
        await wait_until(lambda: time.monotonic() > instant + 6.0, 10, what="every registration would have expired")
        await wait_until(lambda: load.answered_since(instant + 6.0) >= 2 * CLIENTS, 60, what="the load goes on")
    assert load.failed() == []
    assert await engines(serving) == before
    assert (await serving.status())["registrar"]["restarts"] == 1
