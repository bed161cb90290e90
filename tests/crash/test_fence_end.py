"""Canaries beside the traffic that may fence: who is taken out, who is not, and when they are silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import pdctl.control.canary_turns as room
from pdctl.control.canaries import Canaries
from pdctl.control.canary_turns import CanaryTurns
from pdctl.control.cluster import Cluster
from pdctl.control.drain import drain, undrain
from pdctl.control.fence_end import EndFencer
from pdctl.control.journal import Session
from pdctl.control.observe import observe
from pdctl.control.opened import Opened
from pdctl.control.ports import Answer, Http
from pdctl.control.request import DrainRequest, UndrainRequest
from pdctl.model.figure import Figure
from pdctl.model.hold import HoldKind
from pdctl.model.role import Role
from pdctl.model.snapshot import PairState, Snapshot
from pdctl.telemetry.instance import Expected
from tests.crash import scenario, virtual_time
from tests.crash.wire import Wire
from tests.crash.world import DEPLOYMENT, FakeLease, World
from tests.unit.telemetry.scrapes import counter
from tests.unit.telemetry.snapshots import Bench

ROLES = {instance.leader.node: instance.role for instance in DEPLOYMENT.instances}
Spoils = Callable[[str, str], str]
"""(prefill's node, decode's node) -> what is wrong with decode's leg: "" nothing, "500", "empty"."""


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@dataclass(slots=True)
class SpoiltHttp:
    """The world's HTTP, but for what is wrong between two ends. `tried`: the pairs whose decode was asked."""

    inner: Http
    spoils: Spoils
    tried: list[tuple[str, str]] = field(default_factory=list)

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
        """See `control.ports.Http`."""
        answer = await self.inner.request(node, method, url, body=body, headers=headers, timeout_s=timeout_s)
        request_id = (headers or {}).get("x-request-id", "")
        if "___decode_addr_" not in request_id or ROLES[node] is not Role.DECODE:
            return answer
        first = request_id.partition("___decode_addr_")[0]
        prefill = next(name for name, spec in DEPLOYMENT.nodes.items() if f"{spec.data_address}," in first)
        self.tried.append((prefill, node))
        wrong = self.spoils(prefill, node)
        if wrong == "empty":
            return Answer(200, json.dumps({"choices": [{"text": "", "finish_reason": "length"}]}))
        return Answer(500, "KV was lost") if wrong else answer


@dataclass(slots=True)
class Sky:
    """A world that serves, with canaries over it."""

    world: World
    cluster: Cluster
    canaries: Canaries
    fencer: EndFencer
    http: SpoiltHttp

    async def rounds(self, snapshot: Snapshot | None = None, count: int = 2) -> None:
        self.canaries.see(await observe(self.cluster))
        for _ in range(count):
            await self.canaries.round()
        await self.fencer.consider(self.canaries, snapshot or seen())

    def held(self) -> list[tuple[str, HoldKind]]:
        return [(hold.slot, hold.kind) for hold in self.world.holds]


def seen(*, waiting: int = 0, members: frozenset[str] = scenario.ENGINES) -> Snapshot:
    """What `watch` shows of the world: everybody is up."""
    bench = Bench()
    bench.builder.expect_nodes(list(DEPLOYMENT.nodes))
    bench.builder.expect(
        [
            Expected(each.name, each.leader.node, "main", each.pool, each.role, 1, member=each.name in members)
            for each in DEPLOYMENT.instances
        ]
    )
    for node in DEPLOYMENT.nodes:
        text = counter("num_requests_running", 1) + counter("num_requests_waiting", waiting)
        bench.scrape(node, text + counter("num_requests_waiting_by_reason", 0, reason="deferred"))
    return bench.build()


def under(spoils: Spoils, story: Callable[[Sky], Coroutine[Any, Any, None]]) -> None:
    """Play `story` in a world that serves, in virtual time."""

    async def play() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            cluster = world._opened(Wire()).cluster
            http = SpoiltHttp(cluster.http, spoils)
            cluster.http = http
            await story(Sky(world, cluster, Canaries(cluster), EndFencer(cluster), http))

    virtual_time.run(play())


def of_n4(prefill: str, decode: str) -> str:
    return "500" if decode == "n4" else ""


def test_the_end_that_broken_pairs_have_in_common_is_held_and_fenced_and_can_be_brought_back() -> None:
    async def story(sky: Sky) -> None:
        await sky.rounds()
        assert sky.held() == [("n4.main", HoldKind.QUARANTINED)]
        assert "n1.main.0 -> n4.main.0 and 1 more (decode answered 500: KV was lost)" in sky.world.holds[0].reason
        assert set(sky.world.routing.members) == scenario.ENGINES - {"n4.main.0"}
        (alert,) = sky.fencer.alerts(seen(members=scenario.ENGINES - {"n4.main.0"}))
        assert (alert.id, alert.subject) == ("fenced:n4.main.0", "n4.main.0")
        assert "pdctl undrain n4.main" in alert.hint
        assert {entry["event"] for entry in sky.world.journal if entry["run"].startswith("fence-")} >= {
            "run_started",
            "step_done",
            "run_ended",
        }
        assert (await sky.world.command(scenario.bring_up)).mutations == [], "up leaves it out"
        assert (await sky.world.command(bring_back)).code == 0
        assert sky.held() == []
        assert sky.fencer.alerts(seen()) == (), "it is a member again"
        scenario.assert_nothing_wrong(sky.world)

    under(of_n4, story)


async def bring_back(opened: Opened, session: Session) -> int:
    return await undrain(opened, UndrainRequest(("n4.main",)), session)


def test_text_alone_fences_nobody() -> None:
    async def story(sky: Sky) -> None:
        await sky.rounds(count=4)
        states = {pair.state for pair in sky.canaries.figures() if pair.decode == "n4.main.0"}
        assert states == {PairState.BROKEN}, "it is told"
        assert sky.held() == []

    under(lambda prefill, decode: "empty" if decode == "n4" else "", story)


def test_one_failure_fences_nobody_and_neither_does_a_fault_of_everybody() -> None:
    async def once(sky: Sky) -> None:
        await sky.rounds(count=1)
        assert sky.held() == []

    async def everybody(sky: Sky) -> None:
        await sky.rounds()
        assert (sky.held(), sky.fencer.alerts(seen())) == ([], ())

    under(of_n4, once)
    under(lambda prefill, decode: "500", everybody)


def test_the_last_instance_of_a_role_stays_and_somebody_is_paged() -> None:
    async def story(sky: Sky) -> None:
        async def drained(opened: Opened, session: Session) -> int:
            return await drain(opened, DrainRequest(("n2",)), session)

        assert (await sky.world.command(drained)).code == 0
        await sky.rounds()
        assert sky.held() == [("n2.main", HoldKind.DRAINED)]
        assert "n1.main.0" in sky.world.routing.members
        (alert,) = sky.fencer.alerts(seen())
        assert (alert.id, alert.level.value) == ("unfenced:n1.main.0", "page")
        assert "no prefill instance would be left" in alert.cause

    under(lambda prefill, decode: "500" if prefill == "n1" else "", story)


def test_an_end_with_a_queue_may_be_slow_and_is_left_alone() -> None:
    async def story(sky: Sky) -> None:
        await sky.rounds(seen(waiting=3))
        assert sky.held() == []

    under(of_n4, story)


def test_what_was_launched_anew_since_is_not_taken_out() -> None:
    async def story(sky: Sky) -> None:
        sky.canaries.see(await observe(sky.cluster))
        for _ in range(2):
            await sky.canaries.round()
        assert (await sky.world.command(scenario.relaunch)).code == 0
        await sky.fencer.consider(sky.canaries, seen())
        assert sky.held() == []
        assert set(sky.world.routing.members) == scenario.ENGINES
        (alert,) = sky.fencer.alerts(seen())
        assert "launched anew" in alert.cause

    under(of_n4, story)


def test_while_somebody_has_the_lease_it_waits_and_then_acts() -> None:
    async def story(sky: Sky) -> None:
        sky.world.lease = FakeLease(sky.world, Wire())
        await sky.rounds()
        assert (sky.held(), sky.fencer.alerts(seen())) == ([], ())
        sky.world.lease = None
        await sky.rounds(count=1)
        assert sky.held() == [("n4.main", HoldKind.QUARANTINED)]

    under(of_n4, story)


def turns(sky: Sky, monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot, command: list[str]) -> CanaryTurns:
    async def running(cluster: Cluster) -> str:
        return command[0]

    monkeypatch.setattr(room, "running_command", running)
    return CanaryTurns(sky.canaries, lambda: snapshot)


async def for_a_while(what: CanaryTurns, seconds: float = 60.0) -> None:
    task = asyncio.create_task(what.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait({task})


def test_paused_canaries_are_silent_and_say_so_until_they_are_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(sky: Sky) -> None:
        sky.canaries.see(await observe(sky.cluster))
        going = turns(sky, monkeypatch, seen(), [""])
        sky.canaries.pause("a benchmark runs")
        await for_a_while(going)
        assert sky.http.tried == []
        assert going.notes == ("no canaries now: paused: a benchmark runs",)
        sky.canaries.resume()
        await for_a_while(going)
        assert len(sky.http.tried) > 5
        assert not going.notes

    under(lambda prefill, decode: "", story)


def test_canaries_are_silent_while_a_command_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(sky: Sky) -> None:
        sky.canaries.see(await observe(sky.cluster))
        command = ["move"]
        going = turns(sky, monkeypatch, seen(), command)
        await for_a_while(going)
        assert sky.http.tried == []
        assert going.notes == ("no canaries now: `pdctl move` is at work",)
        command[0] = ""
        await for_a_while(going)
        assert len(sky.http.tried) > 5

    under(lambda prefill, decode: "", story)


def test_an_end_that_is_no_member_any_more_gets_no_canary(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fenced engine drains: a canary would keep it from coming to rest. The units are looked at every half minute
    only, the list of members every two seconds."""

    async def story(sky: Sky) -> None:
        sky.canaries.see(await observe(sky.cluster))
        going = turns(sky, monkeypatch, seen(members=scenario.ENGINES - {"n4.main.0"}), [""])
        await for_a_while(going)
        assert {decode for _, decode in sky.http.tried} == {"n3", "n5"}

    under(lambda prefill, decode: "", story)


def test_light_traffic_is_not_taken_for_none_between_two_of_its_requests() -> None:
    """A request every 20 s, and two canaries in five minutes; the router saw none in its ten seconds."""
    bench = Bench()
    for second in range(0, 301, 5):
        bench.now_s = float(second)
        requests = second // 20 + (2 if second > 100 else 0)
        bench.scrape("n1", counter("request_success_total", requests, finished_reason="length"))
    quiet = bench.build()
    assert not isinstance(quiet.router.requests, Figure)
    assert room.clients_per_s(quiet, 2) == pytest.approx(0.05, rel=0.1)
    told = replace(quiet, router=replace(quiet.router, requests=Figure.exact(0.0, 0.0)))
    assert room.clients_per_s(told, 2) == pytest.approx(0.05, rel=0.1)
    busy = replace(quiet, router=replace(quiet.router, requests=Figure.exact(40.0, 0.0)))
    assert room.clients_per_s(busy, 2) == pytest.approx(40.0)
    assert room.clients_per_s(seen(), 0) is None
