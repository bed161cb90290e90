"""Registrar and the real vllm-router on loopback, before fake engines: who gets requests, and who never does again."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from pdctl.model.deployment import Deployment
from pdctl.routers import vllm_router
from pdctl.routers.facts import EVICT_S
from pdctl.routers.health import member_counts
from pdctl.routers.metrics import parse_router_load
from pdctl.routers.ports import RouterPorts
from tests.unit.deployments import mori_1p1d, nixl_1p2d, standard_2xtp4
from tests.waiting import patient, wait_until
from tests.wire.fake_engine import FakeEngine
from tests.wire.registrar_rig import Rig, RouterProcess, Spread, entry, free_ports, registrar_rig, stop

pytest.importorskip("vllm_router", reason="vllm-router is not installed")
pytestmark = pytest.mark.fleet


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30, trust_env=False) as found:
        yield found


@contextmanager
def router_with_rig(directory: Path, deployment: Deployment, mode: str = "ttl") -> Iterator[tuple[RouterProcess, Rig]]:
    """A router from our own command line, started, and a registrar for it, not started yet."""
    ports = RouterPorts(*free_ports(3))
    spec = replace(deployment.router, python=sys.executable, host="127.0.0.1", port=ports.http)
    directory.mkdir(exist_ok=True)
    argv = vllm_router.argv(spec, deployment, ports)
    router = RouterProcess(argv, f"http://127.0.0.1:{ports.http}", directory / "router.log", metrics=ports.metrics)
    with registrar_rig(directory, f"127.0.0.1:{ports.discovery}", mode=mode, http=f"127.0.0.1:{ports.http}") as rig:
        router.start()
        try:
            yield router, rig
        finally:
            stop(router.process)


class Trio:
    """A prefill `p` and two decodes `d` and `e`, behind one router."""

    def __init__(self, router: RouterProcess, rig: Rig, client: httpx.AsyncClient, engines: list[FakeEngine]) -> None:
        self.router, self.rig, self.client = router, rig, client
        self.prefill, self.stays, self.fenced = engines
        self.all = (entry("p", "P", engines[0]), entry("d", "D", engines[1]), entry("e", "D", engines[2]))

    async def serve(self) -> None:
        self.rig.write(*self.all)
        self.rig.start()
        await self.router.serving(self.client, 20)
        await wait_until(lambda: self.rig.registered == {"p", "d", "e"}, 10)
        await self.both_decodes_get_requests()

    async def both_decodes_get_requests(self) -> None:
        async with Spread(self.router, self.client):
            begun = time.monotonic()
            await wait_until(
                lambda: all(engine.asked_since(begun) for engine in (self.stays, self.fenced)), 10, what="both are used"
            )

    async def fence(self) -> float:
        """Take `e` off the list; when the registrar had acknowledged it."""
        self.rig.write(*self.all[:2])
        await self.rig.acknowledged()
        return time.monotonic()


async def trio(stack: AsyncExitStack, client: httpx.AsyncClient, directory: Path) -> Trio:
    router, rig = stack.enter_context(router_with_rig(directory, mori_1p1d()))
    engines = [await stack.enter_async_context(FakeEngine()) for _ in range(3)]
    found = Trio(router, rig, client, engines)
    await found.serve()
    return found


async def fenced_member_gets_nothing_and_its_stream_ends_whole(case: Trio) -> None:
    case.fenced.tokens, case.fenced.gap_s = 100, 0.08
    begun = time.monotonic()
    streams = [asyncio.create_task(case.router.complete(case.client, stream=True)) for _ in range(2)]
    await wait_until(lambda: case.fenced.asked_since(begun), 10)
    fenced = await case.fence()
    metrics = (await case.client.get(f"http://127.0.0.1:{case.router.metrics}/metrics")).text
    assert parse_router_load(metrics, case.fenced.address).active == 1
    async with Spread(case.router, case.client) as spread:
        await asyncio.sleep(max(0.0, fenced + EVICT_S - time.monotonic()))
        evicted = time.monotonic()
        await wait_until(lambda: case.stays.asked_since(evicted + 0.5), 10)
        assert not case.fenced.asked_since(evicted)
    assert set(spread.statuses) == {200}
    answers = [(await stream).text for stream in streams]
    assert max(answer.count("data:") for answer in answers) == 101, "100 events and [DONE]: the stream was cut"
    metrics = (await case.client.get(f"http://127.0.0.1:{case.router.metrics}/metrics")).text
    assert parse_router_load(metrics, case.fenced.address).active == 0


async def killed_registrar_is_not_missed(case: Trio) -> None:
    stop(case.rig.process)
    await asyncio.sleep(1.5)  # of the 4.25 s that the router allows
    case.rig.start()
    async with Spread(case.router, case.client) as spread:
        begun = time.monotonic()
        while time.monotonic() < begun + EVICT_S:
            assert await case.router.status(case.client) == 200
            await asyncio.sleep(0.1)
    assert set(spread.statuses) == {200}
    assert "expired" not in case.router.log.read_text()


async def stopped_router_takes_no_fenced_member_back(case: Trio) -> None:
    """Frozen for longer than the TTL: whatever was sent into its buffers meanwhile, it would read on waking up."""
    assert case.router.process is not None
    last = case.rig.state["ts"]
    await wait_until(lambda: case.rig.state["ts"] > last, 10, what="a registration has just been sent")
    await asyncio.sleep(0.2)  # the router looks at its socket every 10 ms (measured); what it has read counts
    case.router.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(2.5)
    await case.fence()
    await asyncio.sleep(EVICT_S - 2.0)
    woken = time.monotonic()
    case.router.process.send_signal(signal.SIGCONT)
    await case.router.serving(case.client, 3)
    async with Spread(case.router, case.client):
        await wait_until(lambda: len(case.stays.asked_since(woken)) >= 20, 10)
    assert not case.fenced.asked_since(woken)


async def test_members_over_the_time_to_live(tmp_path: Path, client: httpx.AsyncClient) -> None:
    """Three routers at once, for each has to wait until a registration has run out."""
    cases = (
        fenced_member_gets_nothing_and_its_stream_ends_whole,
        killed_registrar_is_not_missed,
        stopped_router_takes_no_fenced_member_back,
    )
    async with AsyncExitStack() as stack:
        rigs = [await trio(stack, client, tmp_path / case.__name__) for case in cases]
        async with asyncio.TaskGroup() as group:
            for case, rig in zip(cases, rigs, strict=True):
                group.create_task(case(rig), name=case.__name__)


async def test_router_killed_at_the_worst_moment_takes_no_fenced_member_back(
    tmp_path: Path, client: httpx.AsyncClient
) -> None:
    """Killed right after a registration, fenced while it is down, started again well within the old time to live."""
    async with AsyncExitStack() as stack:
        case = await trio(stack, client, tmp_path)
        last = case.rig.state["ts"]
        await wait_until(lambda: case.rig.state["ts"] > last, 10)
        stop(case.router.process)
        killed = time.monotonic()
        await wait_until(lambda: not case.rig.registered, 10, what="the registrar notices")
        assert case.rig.why("e").startswith("router down")
        await case.fence()
        case.router.start()
        await case.router.listening(client)
        assert await case.router.serving(client) < patient(2.0), "members come back at once"
        async with Spread(case.router, client) as spread:
            await wait_until(lambda: len(case.stays.asked_since(killed)) >= 25, 10)
            await wait_until(lambda: case.rig.registered == {"p", "d"}, 10)
        assert not case.fenced.asked_since(killed)
        assert set(spread.statuses) == {200}
        case.rig.write(*case.all)  # and it may return when it is meant to
        await case.both_decodes_get_requests()


@pytest.mark.parametrize("deployment", [mori_1p1d(), nixl_1p2d()], ids=["moriio", "nixl"])
async def test_router_without_members_says_how_many_it_has(
    tmp_path: Path, client: httpx.AsyncClient, deployment: Deployment
) -> None:
    with router_with_rig(tmp_path, deployment) as (router, rig):
        await router.listening(client)
        answer = await client.get(router.url + "/health")
        assert member_counts(answer.status_code, answer.text) == (0, 0)
        text = (await client.get(f"http://127.0.0.1:{router.metrics}/metrics")).text
        assert parse_router_load(text, "127.0.0.1:9").active == 0, "it never chose that worker"
        async with FakeEngine() as engine:
            rig.write(entry("p", "P", engine))
            rig.start()

            async def counts() -> bool:
                found = await client.get(router.url + "/health")
                return member_counts(found.status_code, found.text) == (1, 0)

            await wait_until(counts, 10)


async def test_mixed_instances_are_added_and_removed(tmp_path: Path, client: httpx.AsyncClient) -> None:
    async with AsyncExitStack() as stack:
        router, rig = stack.enter_context(router_with_rig(tmp_path, standard_2xtp4(), mode="admin"))
        first, second, foreign = [await stack.enter_async_context(FakeEngine()) for _ in range(3)]
        await router.listening(client)
        await client.post(f"{router.url}/add_worker?url=http://{foreign.address}")

        async def listed() -> set[str]:
            urls = (await client.get(f"{router.url}/list_workers")).json()["urls"]
            return {url.removeprefix("http://") for url in urls}

        rig.write(entry("a", "M", first), entry("b", "M", second))
        rig.start()
        await wait_until(lambda: rig.registered == {"a", "b"}, 10)
        assert await listed() == {first.address, second.address, foreign.address}
        second.tokens, second.gap_s = 40, 0.05
        begun = time.monotonic()
        streams = [asyncio.create_task(router.complete(client, stream=True)) for _ in range(3)]
        await wait_until(lambda: second.asked_since(begun), 10)
        rig.write(entry("a", "M", first))
        await wait_until(lambda: "b" not in {member["name"] for member in rig.state["members"]}, 10)
        assert await listed() == {first.address, foreign.address}, "and nobody else's worker is touched"
        assert max([(await stream).text.count("data:") for stream in streams]) == 41, "the stream was cut"
        stop(router.process)
        router.start()
        await router.listening(client)

        async def only_ours() -> bool:
            return await listed() == {first.address}

        await wait_until(only_ours, 10, what="a new router process is told again")
        async with Spread(router, client) as spread:
            await wait_until(lambda: len(spread.statuses) >= 5, 10)
        assert set(spread.statuses) == {200}
