"""The timed request after a canary: who is compared with whom, and that a slow engine is not registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from pdctl.control.cluster import Cluster
from pdctl.control.ports import Answer, NotAnswering
from pdctl.control.steps.context import Generations, RunContext
from pdctl.control.steps.pace import Pacer
from pdctl.engines.engine import running_launch
from pdctl.errors import InstanceError
from pdctl.health.pace import PaceProfile
from pdctl.health.records import MemoryRecords
from pdctl.model.deployment import Deployment
from pdctl.model.observed import Observed
from pdctl.plan.steps import Action, Step
from pdctl.ssh.fake import FakeShell, FakeShells
from tests.unit.deployments import r1_2p3d, standard_2xtp4

WHOLE = '{"choices": [{"text": " 33", "finish_reason": "length"}], "kv_transfer_params": {"a": 1}}'


class StepClock:
    """Stands still unless a request takes time."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class TimedHttp:
    """Engines that answer after their seconds, by port; a slow first long request for each (a cold kernel cache)."""

    def __init__(self, clock: StepClock, seconds: Mapping[int, float]) -> None:
        self.clock, self.seconds = clock, seconds
        self.long: dict[int, int] = {}
        self.dead_when_long = False

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
        port = int(url.split(":")[2].split("/")[0])
        if body is not None and len(str(body["prompt"])) > 1000:
            if self.dead_when_long:
                raise NotAnswering("timed out")
            self.long[port] = self.long.get(port, 0) + 1
            self.clock.now += self.seconds[port] + (30.0 if self.long[port] == 1 else 0.0)
        return Answer(200, WHOLE)


async def run(
    deployment: Deployment,
    seconds: Mapping[str, float],
    records: MemoryRecords,
    *,
    dead: bool = False,
    said: list[str] | None = None,
) -> dict[str, str]:
    """Prove every instance in order. "ok" or the error, by name; `said` takes the progress."""
    told = [] if said is None else said
    clock = StepClock()
    launches = {
        instance.name: running_launch(deployment, instance, 1, 20000 + 50 * index)
        for index, instance in enumerate(deployment.instances)
    }
    http = TimedHttp(clock, {launch.endpoint[1]: seconds.get(name, 1.0) for name, launch in launches.items()})
    http.dead_when_long = dead
    shells = FakeShells({name: FakeShell(name) for name in deployment.nodes})
    anything = cast(Any, None)
    cluster = Cluster(deployment, shells, FakeShell(), {}, anything, http, anything, clock)
    ctx = RunContext(
        cluster,
        Observed({}, {}),
        1,
        {},
        anything,
        Generations(cluster, {}, 1),
        lambda step, text: told.append(text),
        launches,
    )
    for launch in launches.values():
        await ctx.board.ready(launch)
    pacer, outcome = Pacer(records), {}
    for name, launch in launches.items():
        try:
            await pacer.prove(ctx, Step(Action.PROVE, name, launch.instance.leader.node, ""))
            outcome[name] = "ok"
        except InstanceError as error:
            outcome[name] = str(error)
    return outcome


async def test_a_slow_decode_is_not_registered_and_its_pool_is_named() -> None:
    records = MemoryRecords()
    outcome = await run(r1_2p3d(), {"mi300x-05.all.0": 2.0, "mi300x-01.all.0": 0.1, "mi300x-02.all.0": 0.1}, records)
    slow = outcome.pop("mi300x-05.all.0")
    assert set(outcome.values()) == {"ok"}
    assert "engine.pace" in slow and "the median of 2 in its pool" in slow
    assert set(records.paces()) == set(outcome)


async def test_a_slow_engine_that_came_first_is_named_as_soon_as_its_peers_are_known() -> None:
    records, said = MemoryRecords(), list[str]()
    outcome = await run(r1_2p3d(), {"mi300x-03.all.0": 2.0}, records, said=said)
    assert outcome["mi300x-03.all.0"] == "ok"
    slow = [text for text in said if "is slow" in text]
    assert len(slow) == 1 and slow[0].startswith("mi300x-03.all.0 is slow: 2 s, expected <= 1.5 s")
    assert records.paces()["mi300x-03.all.0"].times_s == ()


async def test_cold_kernels_are_not_counted() -> None:
    records = MemoryRecords()
    await run(standard_2xtp4(), {}, records)
    assert {profile.times_s for profile in records.paces().values()} == {(1.0,)}


async def test_an_engine_that_was_faster_before_is_slow_even_alone() -> None:
    deployment = standard_2xtp4()
    records = MemoryRecords()
    await run(deployment, {}, records)
    outcome = await run(deployment, dict.fromkeys((each.name for each in deployment.instances), 2.0), records)
    assert all("engine.pace" in each for each in outcome.values())
    assert {profile.times_s for profile in records.paces().values()} == {(1.0,)}


async def test_another_specs_past_is_no_measure() -> None:
    deployment = standard_2xtp4()
    records = MemoryRecords()
    records.keep_paces({each.name: PaceProfile("another spec", (0.001,)) for each in deployment.instances})
    assert set((await run(deployment, {}, records)).values()) == {"ok"}


@pytest.mark.parametrize("deployment", [r1_2p3d(), standard_2xtp4()], ids=lambda each: each.cluster)
async def test_what_could_not_be_timed_goes_on_unremembered(deployment: Deployment) -> None:
    records = MemoryRecords()
    assert set((await run(deployment, {}, records, dead=True)).values()) == {"ok"}
    assert records.paces() == {}
