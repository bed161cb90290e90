"""A sweep without nodes: which widths run together, what is repeated, and that all is taken down whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from pdctl.bench.drivers.scripted import ScriptedDriver, answered
from pdctl.bench.row import Row
from pdctl.bench.sizing.match import match
from pdctl.bench.sizing.points import Phase, Width
from pdctl.bench.sizing.profile import load_profiles
from pdctl.bench.sweeps.configuration import Configuration, Offer, configurations, next_batch
from pdctl.bench.sweeps.events import BatchBegan, BatchEnded, ConfigurationEnded
from pdctl.bench.sweeps.lane import lane_inventory
from pdctl.bench.sweeps.stage import Engines, Occupied
from pdctl.bench.sweeps.sweep import Stops, Sweep, Way
from pdctl.control.clock import SystemClock
from pdctl.control.execute import Interrupt
from pdctl.errors import InstanceError, PdctlError, UsageError
from pdctl.inventory.load import Inventory, load, parse
from pdctl.inventory.place import place
from pdctl.model.events import Event
from pdctl.model.outcome import Outcome
from pdctl.model.role import Connector, Role
from pdctl.perf.workload import Asked

BASE = Path(__file__).parents[2] / "inventories" / "gpt-oss-8p4d.yaml"
NODES = {"mi300x-01": 8, "mi300x-02": 8}
OFFER = Offer(isl=100, osl=10, concurrencies=(1, 4), requests=8)


def of(phase: Phase, *tps: int) -> tuple[Configuration, ...]:
    return tuple(configurations(phase, tps, (1,)))


@dataclass
class FakeStage:
    """Nodes on which everything comes up, but for pools in `broken`; `fails`: what `up` of a file raises."""

    broken: frozenset[str] = frozenset()
    fails: PdctlError | None = None
    down_code: int = 0
    running: set[str] = field(default_factory=set)
    ups: list[str] = field(default_factory=list)
    most_gpus: int = 0
    gpus: dict[str, int] = field(default_factory=dict)

    async def occupied(self, inventory: Path) -> Occupied:
        return Occupied({})

    async def up(self, inventory: Path, interrupt: Interrupt) -> int:
        self.ups.append(inventory.stem)
        self.running.add(inventory.stem)
        deployment = place(load(inventory))
        self.gpus[inventory.stem] = sum(len(part.gpus) for each in deployment.instances for part in each.parts)
        self.most_gpus = max(self.most_gpus, sum(self.gpus[name] for name in self.running))
        if self.fails is not None:
            raise self.fails
        return 3 if self.broken else 0

    @asynccontextmanager
    async def engines(self, inventory: Path) -> AsyncIterator[Engines]:
        pools = [each.pool for each in place(load(inventory)).instances]
        good = {name: f"http://{name}" for name in pools if name not in self.broken}
        yield Engines(good, {name: "it ran out of memory" for name in pools if name in self.broken})

    async def down(self, inventory: Path, interrupt: Interrupt) -> int:
        if not self.down_code:
            self.running.discard(inventory.stem)
        return self.down_code


@dataclass
class Scene:
    """A sweep over FakeStage in a directory; `events` is all that was told."""

    directory: Path
    stage: FakeStage = field(default_factory=FakeStage)
    driver: ScriptedDriver = field(default_factory=ScriptedDriver)
    stops: Stops = field(default_factory=Stops)
    events: list[Event] = field(default_factory=list)

    def sweep(self, *, budget: int | None = None, nodes: dict[str, int] = NODES, offer: Offer = OFFER) -> Sweep:
        way = Way(self.stage, lambda: self.driver, self.events.append, self.stops, SystemClock())
        return Sweep(load(BASE), offer, nodes, budget, self.directory, way)

    def batches(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(event.node, event.configurations) for event in self.events if isinstance(event, BatchBegan)]

    def causes(self) -> dict[str, str]:
        return {event.configuration: event.cause for event in self.events if isinstance(event, ConfigurationEnded)}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "sweep")


async def test_both_phases_become_a_profile_that_match_reads_with_sources(scene: Scene) -> None:
    assert await scene.sweep().go(of(Phase.PREFILL, 1, 2)) == 0
    assert await scene.sweep().go(of(Phase.DECODE, 2)) == 0
    (profile,) = load_profiles(scene.directory / "profile.yaml")
    assert (profile.model, profile.isl, profile.osl, profile.ignored) == ("openai/gpt-oss-120b", 100, 10, ())
    assert [(point.width.tp, point.concurrency) for point in profile.prefill] == [(1, 1), (1, 4), (2, 1), (2, 4)]
    assert [point.concurrency for point in profile.decode] == [1, 4]
    assert profile.decode[0].tps == pytest.approx(8 * 10 / (0.1 + 9 * 0.01), rel=0.05)
    assert match(profile)[0].candidate == "1p-tp1-1d-tp2"
    sources = [*(point.source for point in profile.prefill), *(point.source for point in profile.decode)]
    for source in sources:
        assert (scene.directory / source / "rows.jsonl").exists()
    assert not scene.stage.running


async def test_what_is_measured_is_not_measured_again(scene: Scene) -> None:
    assert await scene.sweep().go(of(Phase.PREFILL, 1)) == 0
    sent, ups = len(scene.driver.sent), len(scene.stage.ups)
    assert await scene.sweep().go(of(Phase.PREFILL, 1, 2)) == 0
    assert scene.batches()[-1][1] == ("prefill-tp2",)
    assert (len(scene.driver.sent), len(scene.stage.ups)) == (2 * sent, ups + 1)
    assert await scene.sweep().go(of(Phase.PREFILL, 1, 2)) == 0
    assert len(scene.driver.sent) == 2 * sent


async def test_another_shape_in_the_same_directory_is_refused_before_anything_is_touched(scene: Scene) -> None:
    await scene.sweep().go(of(Phase.PREFILL, 1))
    with pytest.raises(UsageError, match="is another run"):
        scene.sweep(offer=Offer(200, 10, (1, 4), 8)).refuse_another(of(Phase.PREFILL, 1))


async def test_widths_share_nodes_and_the_budget_holds(scene: Scene) -> None:
    assert await scene.sweep(budget=8).go(of(Phase.PREFILL, 1, 2, 4, 8)) == 0
    assert scene.stage.most_gpus == 8
    assert sorted(name for _, batch in scene.batches() for name in batch) == [f"prefill-tp{tp}" for tp in (1, 2, 4, 8)]
    again = Scene(scene.directory.with_name("wide"))
    await again.sweep().go(of(Phase.PREFILL, 1, 2, 4, 8))
    assert again.stage.most_gpus == 15
    assert {node: set(batch) for node, batch in again.batches()} == {
        "mi300x-01": {"prefill-tp8"},
        "mi300x-02": {"prefill-tp4", "prefill-tp2", "prefill-tp1"},
    }


async def test_a_width_that_does_not_come_up_costs_only_itself(scene: Scene) -> None:
    scene.stage.broken = frozenset({"decode-tp1"})
    assert await scene.sweep().go(of(Phase.DECODE, 1, 2)) == 3
    assert scene.causes() == {"decode-tp1": "its engine does not serve: it ran out of memory", "decode-tp2": ""}
    assert not scene.stage.running


async def test_an_up_that_fails_is_taken_down_and_the_others_go_on(scene: Scene) -> None:
    scene.stage.fails = InstanceError("router", "its port is taken")
    assert await scene.sweep().go(of(Phase.DECODE, 8)) == 1
    assert scene.causes() == {"decode-tp8": "router: its port is taken"}
    assert not scene.stage.running


async def test_the_first_signal_ends_the_measurement_and_takes_down(scene: Scene) -> None:
    scene.driver = ScriptedDriver(before=lambda index: scene.stops.ask() if index == 3 else None)
    assert await scene.sweep().go(of(Phase.DECODE, 8)) == 130
    assert not scene.stage.running
    scene.stops, scene.driver = Stops(), ScriptedDriver()
    assert await scene.sweep().go(of(Phase.DECODE, 8)) == 0
    assert len(scene.driver.sent) == 2 * 8 - 4  # the one that was in flight ended, too


async def test_a_bug_in_a_driver_takes_down_too(scene: Scene) -> None:
    def breaks(index: int) -> None:
        raise RuntimeError("a bug")

    scene.driver = ScriptedDriver(before=breaks)
    with pytest.raises(RuntimeError, match="a bug"):
        await scene.sweep().go(of(Phase.DECODE, 8))
    assert not scene.stage.running


async def test_a_down_that_fails_ends_the_sweep_and_says_what_runs(scene: Scene) -> None:
    scene.stage.down_code = 4
    assert await scene.sweep(nodes={"mi300x-01": 8}).go(of(Phase.DECODE, 8, 4)) == 3
    (ended,) = (event for event in scene.events if isinstance(event, BatchEnded))
    assert ended.up
    assert f"pdctl -i {scene.directory}/inventories/gpt-oss-8p4d-sweep-mi300x-01.yaml down" in ended.hint
    assert len(scene.batches()) == 1


async def test_a_batch_of_a_killed_sweep_is_taken_down_where_nothing_new_comes(scene: Scene) -> None:
    await scene.sweep().go(of(Phase.DECODE, 8))
    scene.stage.running.add("gpt-oss-8p4d-sweep-mi300x-01")
    later = scene.sweep()
    later.leftover = frozenset({"mi300x-01"})
    assert await later.go(of(Phase.DECODE, 8)) == 0
    assert not scene.stage.running


def lane(base: Inventory, batch: Sequence[Configuration]) -> Inventory:
    made = lane_inventory(base, "mi300x-02", batch, Path("/tmp/lane.yaml"))
    return parse(made.text.encode(), made.path)


def test_a_batch_is_a_cluster_of_its_own_with_its_router_where_it_was() -> None:
    base = load(BASE)
    made = place(lane(base, of(Phase.DECODE, 2, 1)))
    assert (made.cluster, made.router.node, made.router.port) == ("gpt-oss-8p4d-sweep-mi300x-02", "mi300x-01", 30020)
    assert [(each.pool, each.role, each.parts[0].gpus) for each in made.instances] == [
        ("decode-tp2", Role.MIXED, (0, 1)),
        ("decode-tp1", Role.MIXED, (2,)),
    ]
    assert made.kv.connector is Connector.DECODE_BENCH
    assert place(lane(base, of(Phase.PREFILL, 1))).kv.connector is Connector.NONE


def test_first_fit_looks_at_the_whole_queue() -> None:
    queue = of(Phase.PREFILL, 1, 2, 4, 8)
    assert [each.name for each in next_batch(queue, 7, None)[0]] == ["prefill-tp4", "prefill-tp2", "prefill-tp1"]
    two, one = (Configuration(Phase.PREFILL, Width(n, n)) for n in (2, 1))
    assert next_batch(queue, 8, 3) == ((two, one), 3)
    assert next_batch(queue, 8, 0) == ((), 0)


async def test_points_in_which_requests_failed_are_no_figures_of_a_profile(scene: Scene) -> None:
    await scene.sweep().go(of(Phase.PREFILL, 1))
    scene.driver = ScriptedDriver(answer=_every_other_fails)
    await scene.sweep().go(of(Phase.DECODE, 2))
    text = (scene.directory / "profile.yaml").read_text()
    assert "# left out: decode-tp2/100-10/c1/s0: 4 requests failed" in text
    assert "decode" not in yaml.safe_load(text)


async def test_points_that_nothing_answered_are_measured_anew(scene: Scene) -> None:
    scene.driver = ScriptedDriver(answer=_all_fail)
    assert await scene.sweep().go(of(Phase.DECODE, 2)) == 1
    assert scene.causes() == {"decode-tp2": "requests failed: error: HTTP 500"}
    scene.driver = ScriptedDriver()
    assert await scene.sweep().go(of(Phase.DECODE, 2)) == 0
    assert len(scene.driver.sent) == 2 * 8


def _all_fail(index: int, asked: Asked) -> Row:
    return replace(answered(index, asked), outcome=Outcome.ERROR, error="HTTP 500")


def _every_other_fails(index: int, asked: Asked) -> Row:
    row = answered(index, asked)
    return row if index % 2 else replace(row, outcome=Outcome.ERROR, error="HTTP 500")
