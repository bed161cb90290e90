"""`watch` begins whatever the nodes do, and a loop of its own that dies is not watched over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

import pdctl.control.watch as room
from pdctl.control.clock import SystemClock
from pdctl.control.cluster import Cluster
from pdctl.control.watch import Watch, alerted, watching
from pdctl.errors import Unreachable
from pdctl.model.observed import Observed, Trouble
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import Alert, AlertLevel, Snapshot, Vital
from pdctl.ssh.fake import FakeShell, FakeShells
from pdctl.ssh.ports import Stream
from pdctl.telemetry.alerts import Change
from tests.unit.deployments import nixl_1p2d
from tests.unit.telemetry.snapshots import served

KV = Unknown("not asked for here")


class Away(FakeShell):
    """A node that cannot be reached."""

    @asynccontextmanager
    async def stream(  # type: ignore[override]
        self, argv: Sequence[str], *, watch_stdin: bool = True
    ) -> AsyncIterator[Stream]:
        for error in (Unreachable(self.node, "no route to it"),):
            raise error
        yield cast(Any, None)


class NobodyRegistered:
    """No registrar answers."""

    async def seen(self) -> None:
        raise Unreachable("n1", "no route to it")


@pytest.fixture
def cluster() -> Cluster:
    wanted = nixl_1p2d()
    shells = FakeShells({name: Away(name) for name in wanted.nodes})
    made = Cluster(
        wanted,
        shells,
        FakeShell(wanted.lease_node),
        {},
        cast(Any, None),
        cast(Any, None),
        cast(Any, NobodyRegistered()),
        SystemClock(),
    )
    return made


async def first(watch: Watch) -> Snapshot:
    async for snapshot in watch.snapshots():
        return snapshot
    raise AssertionError("snapshots never end")


async def test_a_node_that_does_not_answer_at_the_start_keeps_nobody_waiting(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look waits for its slowest node; the first one is not waited for."""
    answered = asyncio.Event()

    async def observe(of: Cluster) -> Observed:
        await answered.wait()
        return Observed({}, {name: Trouble("no route to it") for name in of.deployment.nodes})

    monkeypatch.setattr(room, "observe", observe)
    monkeypatch.setattr(room, "FIRST_LOOK_S", 0.05)
    async with asyncio.timeout(5.0), watching(cluster, interval_s=0.05, kv=KV) as watch:
        snapshot = await first(watch)
        assert snapshot.instances
        assert {instance.vital for instance in snapshot.instances.values()} == {Vital.UNKNOWN}
        assert "not looked at yet" in watch.builder._engines[next(iter(snapshot.instances))].expected.why
        answered.set()
        await watch.looked.wait()
        snapshot = await first(watch)
    assert all("no route" in instance.why for instance in snapshot.instances.values())
    assert snapshot.router.vital is Vital.UNKNOWN
    assert "no route" in snapshot.router.why


async def test_a_loop_that_dies_ends_the_watch_with_its_cause(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def observe(of: Cluster) -> Observed:
        return Observed({}, {name: Trouble("no route to it") for name in of.deployment.nodes})

    async def dies(self: Watch) -> None:
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(room, "observe", observe)
    monkeypatch.setattr(Watch, "keep_asking_members", dies)
    async with asyncio.timeout(5.0), watching(cluster, interval_s=0.02, kv=KV) as watch:
        with pytest.raises(RuntimeError, match="a defect of ours"):
            async for _ in watch.snapshots():
                pass


async def test_an_end_by_a_signal_leaves_no_task(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async def observe(of: Cluster) -> Observed:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(room, "observe", observe)
    monkeypatch.setattr(room, "FIRST_LOOK_S", 0.05)
    before = asyncio.all_tasks()
    async with watching(cluster, interval_s=0.05, kv=KV) as watch:
        await first(watch)
    assert asyncio.all_tasks() == before


async def test_alerts_of_the_nodes_hardware_are_delivered_when_they_come_and_when_they_go() -> None:
    hot = Alert("gpu:n1:heat", AlertLevel.WARN, "n1", "GPU 3 is at 104 C", "`pdctl check n1`", 1.0)

    async def ticks() -> AsyncIterator[Snapshot]:
        for alerts in ((), (hot,), (hot,), ()):
            yield replace(served(), alerts=alerts)

    told: list[Change] = []
    shown = [snapshot.alerts async for snapshot in alerted(ticks(), changed=told.append)]
    assert [change.raised for change in told if change.alert.id == hot.id] == [True, False]
    assert [hot in alerts for alerts in shown] == [False, True, True, False]
