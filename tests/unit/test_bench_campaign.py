"""A comparison: never two deployments up, nothing left up, and nothing measured twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pdctl.bench.campaign.campaign import Campaign, Standing, survey
from pdctl.bench.campaign.contender import Contender, contenders, find_inventory, unfair
from pdctl.bench.campaign.events import DeploymentEnded
from pdctl.bench.campaign.signals import Signals
from pdctl.bench.campaign.stage import Occupied
from pdctl.bench.drivers.scripted import ScriptedDriver
from pdctl.bench.point import Point, Target
from pdctl.bench.reach import Reached
from pdctl.bench.runs.definition import define, note_target
from pdctl.bench.runs.directory import open_run
from pdctl.bench.runs.meta import meta_of
from pdctl.bench.runs.runner import Player
from pdctl.control.clock import SystemClock
from pdctl.control.execute import Interrupt
from pdctl.errors import PlanRefused, UsageError
from pdctl.model.events import Event
from pdctl.perf.workload import poisson

INVENTORIES = Path(__file__).parents[2] / "inventories"
NAMES = ("standard-2xtp4", "mori-1p1d-write", "mori-1p1d-read")


@dataclass
class FakeStage:
    """Deployments that are up, and how each `up` and `down` ends (0 where nothing else is said)."""

    ups: dict[str, int] = field(default_factory=dict)
    downs: dict[str, int] = field(default_factory=dict)
    broken: str = ""
    occupied: dict[str, Occupied] = field(default_factory=dict)
    up_now: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    interrupted_downs: list[bool] = field(default_factory=list)
    restless: str = ""
    looks: int = 0

    async def look(self, contender: Contender) -> Occupied:
        self.looks += 1
        if contender.name == self.restless:
            return Occupied(launches={"n1.main.0": str(self.looks), "n2.main.0": "1"})
        return self.occupied.get(contender.name, Occupied())

    async def up(self, contender: Contender, interrupt: Interrupt) -> int:
        assert not self.up_now - {contender.name}, "two deployments are on the same GPUs"
        self.calls.append(f"up {contender.name}")
        self.up_now.add(contender.name)
        return self.ups.get(contender.name, 0)

    async def prove(self, contender: Contender) -> str:
        return "n1.main.0 of it do not serve" if contender.name == self.broken else ""

    @asynccontextmanager
    async def reached(self, contender: Contender, target: Target) -> AsyncIterator[Reached]:
        yield Reached(target)

    async def down(self, contender: Contender, interrupt: Interrupt) -> int:
        self.calls.append(f"down {contender.name}")
        self.interrupted_downs.append(interrupt.asked.is_set())
        code = self.downs.get(contender.name, 0)
        if not code:
            self.up_now.discard(contender.name)
        return code


def compared(*names: str) -> tuple[Contender, ...]:
    return contenders([INVENTORIES / f"{name}.yaml" for name in names or NAMES])


async def play(
    path: Path,
    stage: FakeStage,
    *,
    signals: Signals | None = None,
    interrupt_at: str = "",
    standing: Standing | None = None,
) -> tuple[int, list[Event]]:
    """One command over the three deployments, two loads each. `interrupt_at`: a signal comes after that point."""
    them, events, signals = compared(), list[Event](), signals or Signals()
    points = {each.name: [_point(each.name, load) for load in ("r1", "r2")] for each in them}
    targets = {each.name: each.target for each in them}
    every = [point for each in them for point in points[each.name]]
    definition = define("scripted", {name: note_target(target) for name, target in targets.items()}, every)

    def heard(event: Event) -> None:
        events.append(event)
        if interrupt_at and getattr(event, "point", "") == interrupt_at and event.event == "point_done":
            signals.ask()

    with open_run(path, meta_of(definition, run="r", started="2026-01-01T00:00:00Z")) as run:
        player = Player(run, ScriptedDriver(), targets, heard, signals.now, SystemClock())
        campaign = Campaign(stage, them, points, run, player, targets, heard, signals, SystemClock())
        return await campaign.go(standing or Standing({})), events


def _point(deployment: str, load: str) -> Point:
    return Point(deployment, "16/4", load, 0, poisson(3, 1000.0, 16, 4))


def measured(events: list[Event]) -> list[str]:
    return [
        getattr(each, "point", "")
        for each in events
        if each.event == "point_done" and not getattr(each, "earlier", False)
    ]


async def test_one_after_another_and_nothing_twice(tmp_path: Path) -> None:
    stage = FakeStage()
    code, events = await play(tmp_path / "run", stage)
    assert code == 0
    assert stage.calls == [f"{verb} {name}" for name in NAMES for verb in ("up", "down")]
    assert len(measured(events)) == 6
    again = FakeStage()
    code, events = await play(tmp_path / "run", again)
    assert (code, again.calls, measured(events)) == (0, [], [])


async def test_one_that_does_not_come_up_is_taken_down_and_the_others_are_measured(tmp_path: Path) -> None:
    stage = FakeStage(ups={NAMES[0]: 1}, broken=NAMES[1])
    code, events = await play(tmp_path / "run", stage)
    assert code == 3
    assert stage.up_now == set()
    assert measured(events) == [f"{NAMES[2]}/16-4/r1/s0", f"{NAMES[2]}/16-4/r2/s0"]
    causes = [each.cause for each in events if isinstance(each, DeploymentEnded)]
    assert causes == ["`up` ended with 1", "n1.main.0 of it do not serve", ""]
    code, events = await play(tmp_path / "run", mended := FakeStage())
    assert code == 0
    assert NAMES[2] not in " ".join(mended.calls)
    assert len(measured(events)) == 4


async def test_a_signal_takes_the_present_one_down_and_brings_up_no_other(tmp_path: Path) -> None:
    stage = FakeStage()
    code, events = await play(tmp_path / "run", stage, interrupt_at=f"{NAMES[0]}/16-4/r1/s0")
    assert code == 130
    assert stage.calls == [f"up {NAMES[0]}", f"down {NAMES[0]}"]
    assert stage.interrupted_downs == [False], "the signal that led to the down must not cut it short"
    code, more = await play(tmp_path / "run", FakeStage())
    assert code == 0
    assert len(measured(events)) == 1
    assert len(measured(more)) == 5


async def test_a_down_that_fails_ends_the_comparison(tmp_path: Path) -> None:
    stage = FakeStage(downs={NAMES[0]: 4})
    code, events = await play(tmp_path / "run", stage)
    assert code == 3
    assert stage.calls == [f"up {NAMES[0]}", f"down {NAMES[0]}"]
    ended = next(each for each in events if isinstance(each, DeploymentEnded))
    assert ended.up
    assert "down" in ended.hint


async def test_an_engine_that_was_relaunched_while_it_was_measured_is_told(tmp_path: Path) -> None:
    code, events = await play(tmp_path / "run", FakeStage(restless=NAMES[1]))
    assert code == 3
    causes = [each.cause for each in events if isinstance(each, DeploymentEnded)]
    assert causes[0] == causes[2] == ""
    assert causes[1].startswith("n1.main.0 did not run through while it was measured")


async def test_what_runs_goes_first(tmp_path: Path) -> None:
    stage = FakeStage(occupied={NAMES[1]: Occupied(own=("router", "n1.main.0"))}, up_now={NAMES[1]})
    standing = await survey(stage, compared())
    assert standing.words == "mori-1p1d-write runs (2 units)"
    code, _ = await play(tmp_path / "run", stage, standing=standing)
    assert code == 0
    assert stage.calls[:2] == [f"down {NAMES[1]}", f"up {NAMES[0]}"]


async def test_a_cluster_that_is_not_compared_is_never_touched() -> None:
    stage = FakeStage(occupied={NAMES[0]: Occupied(others=("pdctl.prod.n1.main.0", f"pdctl.{NAMES[1]}.n1.main.0"))})
    with pytest.raises(PlanRefused, match="the cluster prod runs on nodes of standard-2xtp4"):
        await survey(stage, compared())


def test_what_differs_beside_the_layout_is_said() -> None:
    assert unfair(compared()) == ()
    told = " ".join(unfair(compared("standard-2xtp4", "r1-2p3d")))
    for word in ("DeepSeek-R1", "other nodes", "40 GPUs"):
        assert word in told


def test_a_deployment_is_found_by_its_name() -> None:
    assert find_inventory("r1-2p3d", [INVENTORIES]) == INVENTORIES / "r1-2p3d.yaml"
    with pytest.raises(UsageError, match="no inventory 'r1-9p9d'"):
        find_inventory("r1-9p9d", [INVENTORIES])
    with pytest.raises(UsageError, match="two deployments"):
        compared("r1-2p3d")
    with pytest.raises(UsageError, match="named twice"):
        compared("r1-2p3d", "r1-2p3d")
