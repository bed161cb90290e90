"""The fake keeps the real supervisor's rules, and its faults are what they say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdctl.errors import ConnectionLost, EpochRefused, InstanceError, Unreachable
from pdctl.model.role import UnitKind
from pdctl.model.unit import ExitEvidence, Labels, Restart, UnitSpec, UnitState
from pdctl.supervisors.fake import FakeNode, FakeSupervisor, Fault, FaultPlan


def spec(instance: str = "n1.all.0", generation: int = 1, gpus: tuple[int, ...] = (0,), cluster: str = "t") -> UnitSpec:
    labels = Labels(cluster, instance, generation, "h", UnitKind.ENGINE, "p", "prefill", gpus)
    return UnitSpec(labels, ("x",), {}, Restart.NEVER, 5.0, address="10.0.0.1", ports=(20000 + 10 * generation,))


@pytest.fixture
def node() -> FakeNode:
    return FakeNode("n1")


@pytest.fixture
def supervisor(node: FakeNode) -> FakeSupervisor:
    return FakeSupervisor(node, "t")


async def test_life(supervisor: FakeSupervisor) -> None:
    assert await supervisor.take_generations(3, epoch=1) == 1
    assert await supervisor.take_generations(1, epoch=1) == 4
    started = await supervisor.start(spec(), epoch=1)
    assert started.endpoint == "10.0.0.1:20010"
    assert await supervisor.start(spec(), epoch=1) == started
    report = await supervisor.stop(started.labels.unit, epoch=1)
    assert (report.existed, report.gone) == (True, True)
    (unit,) = (await supervisor.inspect()).units
    assert unit.state is UnitState.EXITED
    await supervisor.forget([unit.labels.unit], epoch=1)
    assert (await supervisor.inspect()).units == ()
    assert not (await supervisor.stop(unit.labels.unit, epoch=1)).existed


async def test_refusals(node: FakeNode, supervisor: FakeSupervisor) -> None:
    await FakeSupervisor(node, "other").start(spec("x", gpus=(7,), cluster="other"), epoch=1)
    await supervisor.start(spec(), epoch=1)
    node.missing.add("/models")
    node.taken[20090] = "pid 1 (nginx)"
    for attempt, why in [
        (spec(generation=2), "still lives"),
        (spec("n1.all.1"), "held by pdctl.t.n1.all.0"),
        (spec("n1.all.1", gpus=(7,)), "held by pdctl.other.x"),
        (replace(spec("n1.all.1", gpus=(1,)), paths=("/models",)), "/models"),
        (spec("n1.all.1", 9, gpus=(1,)), "nginx"),
    ]:
        with pytest.raises(InstanceError, match=why):
            await supervisor.start(attempt, epoch=1)
    with pytest.raises(InstanceError, match="still lives"):
        await supervisor.forget(["pdctl.t.n1.all.0"], epoch=1)
    assert (await supervisor.inspect()).others == ("pdctl.other.x",)


async def test_a_generation_runs_once(node: FakeNode, supervisor: FakeSupervisor) -> None:
    node.ends_at_once["n1.all.0"] = ExitEvidence(1, None, 0.0, False)
    assert (await supervisor.start(spec(), epoch=1)).state is UnitState.FAILED
    with pytest.raises(InstanceError, match="already run"):
        await supervisor.start(spec(), epoch=1)


async def test_an_overtaken_operator_is_refused(supervisor: FakeSupervisor) -> None:
    await supervisor.take_generations(1, epoch=5)
    with pytest.raises(EpochRefused):
        await supervisor.start(spec(), epoch=4)
    assert (await supervisor.inspect()).units == ()


@pytest.mark.parametrize(
    ("fault", "error", "started"),
    [
        (Fault.UNREACHABLE, Unreachable, False),
        (Fault.LOST_BEFORE, ConnectionLost, False),
        (Fault.LOST_AFTER, ConnectionLost, True),
    ],
)
async def test_faults(fault: Fault, error: type[Exception], started: bool) -> None:
    node = FakeNode("n1", FaultPlan({1: fault}))
    supervisor = FakeSupervisor(node, "t")
    await supervisor.take_generations(1, epoch=1)
    with pytest.raises(error):
        await supervisor.start(spec(), epoch=1)
    assert bool((await supervisor.inspect()).units) is started
    assert node.faults.calls == ["n1 take 1", "n1 start pdctl.t.n1.all.0", "n1 inspect"]


async def test_a_slow_answer_takes_its_time() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    node = FakeNode("n1", FaultPlan({0: Fault.SLOW}, slow_s=9.0), sleep=sleep)
    await FakeSupervisor(node, "t").inspect()
    assert slept == [9.0]


async def test_reboot(node: FakeNode, supervisor: FakeSupervisor) -> None:
    await supervisor.start(spec(), epoch=1)
    before = await supervisor.inspect()
    node.reboot()
    after = await supervisor.inspect()
    assert before.boot_id != after.boot_id
    assert [unit.exit.cause for unit in after.units if unit.exit] == ["gone with a reboot"]


async def test_logs(node: FakeNode, supervisor: FakeSupervisor) -> None:
    node.logs["u"] = ["one", "two", "three"]
    async with supervisor.logs("u", lines=2, follow=False) as lines:
        assert [line.text async for line in lines] == ["two", "three"]
