"""Advisor: what is observed is ranked beside the screen, what cannot be ranked is said, and nothing moves by itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from pdctl.advisor.rank import Objective
from pdctl.control.decision_book import DecisionBook
from pdctl.control.request import MoveRequest
from pdctl.errors import TooThin
from pdctl.model.deployment import Deployment
from pdctl.model.hold import Hold, HoldKind, Holds
from pdctl.model.keeper_events import KeeperEvent, MoveSuggested, RatioDecided, Rebalanced
from pdctl.model.snapshot import Snapshot, Source
from pdctl.tui.advice_apart import ApartAdviser
from pdctl.tui.advising import Query
from pdctl.tui.app import PdctlApp
from pdctl.tui.ports import Activity
from pdctl.tui.recorded import RecordingFeed, RecordingOperations, fleet_of_cluster
from pdctl.tui.screens.advisor import EVERY_S, AdvisorScreen
from pdctl.tui.screens.ask import ChoosePool
from pdctl.tui.screens.plan import PlanScreen
from pdctl.tui.settings import Settings
from pdctl.tui.spans import plain
from tests.tui.advice import BETTER, TOO_CLOSE, ScriptedAdviser
from tests.tui.fakes import STILL, FakeFeed, FakeOperations
from tests.tui.fleet import START_S, exact, snapshot
from tests.tui.patience import on_screen, until
from tests.tui.screen_text import screen_lines
from tests.tui.test_playback import Hand, Tape
from tests.unit.deployments import r1_2p3d

GOLDEN = Path(__file__).with_name("golden")
TICKS = 40
HOLD = RatioDecided("hold", "2P3D", "", "2P3D serves what is offered as well as any split would", {"gap": 0.0})
DECISIONS: tuple[tuple[float, KeeperEvent], ...] = (
    (START_S - 190.0, HOLD),
    (START_S - 160.0, RatioDecided("hold", "2P3D", "3P2D", "3P2D would serve better: waiting for more of it", {})),
    (
        START_S - 130.0,
        MoveSuggested(
            "n04.main", "prefill", "prefill of 2P3D is at 131% of what it can carry", ("pdctl", "move", "n04.main")
        ),
    ),
    (START_S - 20.0, Rebalanced("n04.main", "prefill", 1, "the lease is held by ops@host")),
)


def fleet() -> Deployment:
    """2P3D, under the names of the snapshots."""
    found = r1_2p3d()
    slots = tuple(replace(slot, node=f"n{place:02}", name="main") for place, slot in enumerate(found.slots, 1))
    nodes = {slot.node: replace(node, name=slot.node) for slot, node in zip(slots, found.nodes.values(), strict=True)}
    router = replace(found.router, node="n05")
    return replace(found, cluster="demo", slots=slots, nodes=nodes, router=router)


class FarApart(Tape):
    """A recording whose snapshots are minutes apart."""

    times: tuple[float, ...] = tuple(START_S + 200.0 * place for place in range(5))

    def snapshot(self, place: int) -> Snapshot:
        return snapshot(2, 3, tick=200 * place, source=Source.RECORDING)


def ticks(count: int = TICKS) -> list[Snapshot]:
    return [snapshot(2, 3, tick=tick) for tick in range(count)]


@asynccontextmanager
async def shown(
    adviser: ScriptedAdviser,
    operations: FakeOperations | None = None,
    seen: list[Snapshot] | None = None,
    *,
    size: tuple[int, int] = (160, 48),
    settings: Settings = STILL,
) -> AsyncIterator[tuple[Pilot[int], FakeFeed, AdvisorScreen]]:
    """The screen after those ticks, and with the answer of an adviser that does not hang."""
    feed = FakeFeed()
    app = PdctlApp(
        feed,
        operations or FakeOperations(deployment=fleet()),
        replace(settings, start="advisor"),
        adviser=adviser,
        wall=lambda: START_S + TICKS,
    )
    async with app.run_test(size=size, notifications=True) as pilot:
        for tick in ticks() if seen is None else seen:
            await feed.push(tick)
        screen = await on_screen(pilot, AdvisorScreen)
        await until(pilot, lambda: screen.decisions.entries is not None, "the book is read")
        if adviser.hang is None:
            await until(pilot, lambda: screen.ranking.began_s is None, "the ranking")
        yield pilot, feed, screen


def text(pilot: Pilot[int]) -> str:
    return "\n".join(screen_lines(pilot.app))


def the_app(pilot: Pilot[int]) -> PdctlApp:
    assert isinstance(pilot.app, PdctlApp)
    return pilot.app


def told(pilot: Pilot[int]) -> str:
    return "\n".join(note.message for note in the_app(pilot)._notifications)


async def test_the_observed_traffic_is_ranked_with_reasons_price_and_what_is_measured() -> None:
    adviser = ScriptedAdviser()
    async with shown(adviser) as (pilot, _, screen):
        (query,) = adviser.asked
        assert (round(query.rate_per_s or 0), query.isl, query.osl) == (10, 512.0, 32.0)
        said = text(pilot)
        for words in (
            "OBSERVED 10 requests/s of 512 tokens in",
            "▲ 3P2D is best: disaggregate",
            "from 2P3D to 3P2D: 1 move, about 6m21s",
            "it pays back 8m16s after the start",
            "* 3P2D        95% ±7",
            "2P3D       27% ±11        2.71     1.24s     2.01s     38ms  8.09s ±3  14,710  ← now",
            "measured",
            "TTFT p99 2.01 s misses 1 s",
            "note: KV capacity is taken as enough",
            "measured otherwise: 1.35x",
        ):
            assert words in said
        assert screen.command() == "pdctl advise --observed --objective goodput"


async def test_what_is_missing_is_named_line_by_line_and_nobody_is_asked() -> None:
    adviser = ScriptedAdviser()
    async with shown(adviser, seen=[snapshot(2, 0)]) as (pilot, _, _):
        said = text(pilot)
        assert "? no ranking: too little is seen of the traffic:" in said
        assert "· no decode engine answers" in said
        assert "· output lengths: unknown" in said
        assert "wait for more of it, or type a workload: `i`" in said
        assert adviser.asked == []


async def test_a_refusal_says_why_and_what_was_ranked_before_stays_with_its_age() -> None:
    adviser = ScriptedAdviser()
    async with shown(adviser) as (pilot, _, screen):
        adviser.refusal = TooThin("no profile of R1 on mi999 with TP1 DP8", hint="`pdctl advise fit` makes one")
        the_app(pilot).wall = lambda: START_S + TICKS + 25.0
        await pilot.press("a")
        await until(pilot, lambda: screen.ranking.refusal, "the refusal")
        said = text(pilot)
        assert "? no ranking: no profile of R1 on mi999" in said
        assert "`pdctl advise fit` makes one" in said
        assert "what was ranked before, observed: 10 requests/s" in said
        assert "3P2D is best" in said
        assert "ranked 25s ago" in said


async def test_too_close_to_call_is_said_and_nothing_is_to_be_moved() -> None:
    operations = FakeOperations(deployment=fleet())
    async with shown(ScriptedAdviser(TOO_CLOSE), operations) as (pilot, _, _):
        said = text(pilot)
        assert "≈ too close to call between 3P2D and 2P3D" in said
        assert "≈ 2P3D" in said
        assert "you have 2P3D, which cannot be told from the best: stay" in said
        assert "m plans" not in said
        await pilot.press("m")
        await until(pilot, lambda: told(pilot), "the reason")
        assert "nothing to gain that is sure" in told(pilot)
        assert operations.asked == []


async def test_m_plans_the_first_move_of_the_slot_with_least_in_hand_and_nothing_is_done() -> None:
    operations = FakeOperations(deployment=fleet())
    async with shown(ScriptedAdviser(), operations) as (pilot, feed, _):
        busy = snapshot(2, 3, tick=TICKS)
        loads = {"n03.main.0": 9.0, "n04.main.0": 1.0, "n05.main.0": 0.0}  # n05 is the router's
        instances = {
            name: replace(each, load=replace(each.load, running=exact(loads[name]))) if name in loads else each
            for name, each in busy.instances.items()
        }
        await feed.push(replace(busy, instances=instances))
        await pilot.press("m")
        plan = await on_screen(pilot, PlanScreen)
        await until(pilot, lambda: plan.proposal, "the plan")
        assert plan.request == MoveRequest(("n04.main",), "prefill")
        assert plan.query_one("#cancel").has_focus
        await pilot.press("enter")
        await on_screen(pilot, AdvisorScreen)
        assert [what for what, _ in operations.asked] == ["activity", "propose"]


async def test_m_passes_over_what_is_pinned_or_held_and_asks_where_two_pools_would_do() -> None:
    pins = {name: Hold(name, HoldKind.PINNED, "ops", "mine", START_S) for name in ("n03.main", "n05.main")}
    deployment = fleet()
    operations = FakeOperations(deployment=deployment, journal=Activity((), holds=Holds(pins)))
    async with shown(ScriptedAdviser(), operations) as (pilot, feed, _):
        await pilot.press("m")
        assert (await on_screen(pilot, PlanScreen)).request == MoveRequest(("n04.main",), "prefill")
        await pilot.press("escape")
        await on_screen(pilot, AdvisorScreen)
        last = snapshot(2, 3, tick=TICKS)
        held = replace(last.instances["n04.main.0"], held="drained by ops: new fans")
        await feed.push(replace(last, instances={**last.instances, "n04.main.0": held}))
        await pilot.press("m")
        await until(pilot, lambda: told(pilot), "the reason")
        assert "no slot of decode is free to move" in told(pilot)
        second = {**deployment.pools, "other": replace(deployment.pools["prefill"], name="other")}
        operations.deployment = replace(deployment, pools=second)
        await feed.push(snapshot(2, 3, tick=TICKS + 1))
        await until(pilot, lambda: the_app(pilot).screen.ranking.began_s is None, "the ranking")  # type: ignore[attr-defined]
        await pilot.press("m")
        await on_screen(pilot, ChoosePool)


async def test_where_nothing_may_be_changed_m_is_refused() -> None:
    operations = FakeOperations(deployment=fleet(), read_only="--read-only")
    async with shown(ScriptedAdviser(), operations) as (pilot, _, _):
        await pilot.press("m")
        await until(pilot, lambda: told(pilot), "the reason")
        assert "Move is refused: --read-only" in told(pilot)
        assert operations.asked == []


async def test_keys_work_while_an_advice_is_worked_out_and_no_second_one_is_begun() -> None:
    adviser = ScriptedAdviser(hang=asyncio.Event())
    async with shown(adviser) as (pilot, feed, _):
        assert "working it out" in text(pilot)
        await pilot.press("a", "a")
        await feed.push(snapshot(2, 3, tick=TICKS))
        await pilot.press("1")
        await until(pilot, lambda: the_app(pilot).current_mode == "pulse", "another view")
        await pilot.press("7")
        await until(pilot, lambda: the_app(pilot).current_mode == "advisor", "the way back")
        assert len(adviser.asked) == 1
        assert adviser.hang is not None
        adviser.hang.set()
        await until(pilot, lambda: "3P2D is best" in text(pilot), "the ranking")


async def test_it_ranks_again_after_a_while_at_once_after_a_move_and_never_where_nothing_changed() -> None:
    adviser = ScriptedAdviser()
    async with shown(adviser) as (pilot, feed, screen):

        async def asked_after(tick: Snapshot, wall_s: float) -> int:
            the_app(pilot).wall = lambda: wall_s
            await feed.push(tick)
            await until(pilot, lambda: screen.ranking.began_s is None and screen.seen is tick, "the tick")
            return len(adviser.asked)

        now_s = START_S + TICKS
        last = snapshot(2, 3, tick=TICKS)
        assert await asked_after(last, now_s + EVERY_S - 1) == 1
        assert await asked_after(snapshot(2, 3, tick=TICKS + 1), now_s + EVERY_S) == 2
        moved = snapshot(3, 2, tick=TICKS + 2)
        assert await asked_after(moved, now_s + EVERY_S + 1) == 3
        pools = {slot.node: slot.pool for slot in adviser.asked[-1].deployment.slots}
        assert pools == {"n01": "prefill", "n02": "prefill", "n03": "prefill", "n04": "decode", "n05": "decode"}


async def test_what_if_takes_another_workload_and_esc_goes_back_to_the_observed_one() -> None:
    adviser = ScriptedAdviser()
    async with shown(adviser) as (pilot, _, screen):
        await pilot.press("i")
        screen.prompt.value = "isl=8k osl=1024 rate=2 ttft=5s"
        await pilot.press("enter")
        await until(pilot, lambda: len(adviser.asked) == 2 and screen.answered, "the ranking of it")
        query = adviser.asked[-1]
        assert (query.isl, query.osl, query.rate_per_s, query.slo.ttft_s) == (8192.0, 1024.0, 2.0, 5.0)
        assert "WHAT IF  8192/1024 tokens, 2 requests/s" in text(pilot)
        assert screen.command() == "pdctl advise --isl 8192 --osl 1024 --rate 2 --slo ttft=5s --objective goodput"
        await pilot.press("escape")
        await until(pilot, lambda: len(adviser.asked) == 3 and screen.answered, "the observed one")
        assert "OBSERVED 10 requests/s" in text(pilot)


async def test_a_command_asks_what_if_from_any_view_and_what_is_left_out_is_as_observed() -> None:
    adviser = ScriptedAdviser()
    async with shown(adviser) as (pilot, _, screen):
        await pilot.press("1")
        await the_app(pilot).run_command("advise concurrency=64")
        await until(pilot, lambda: len(adviser.asked) == 2, "the question")
        query = adviser.asked[-1]
        assert (query.isl, query.osl, query.rate_per_s, query.users) == (512.0, 32.0, None, 64)
        await the_app(pilot).run_command("advise isl=big")
        await until(pilot, lambda: screen.complaint, "the complaint")
        assert "isl=big: tokens of a prompt" in screen.complaint
        assert len(adviser.asked) == 2


async def test_o_ranks_by_something_else() -> None:
    adviser = ScriptedAdviser()
    async with shown(adviser) as (pilot, _, screen):
        await pilot.press("o")
        await until(pilot, lambda: len(adviser.asked) == 2 and screen.answered, "the ranking")
        assert adviser.asked[-1].objective is Objective.LATENCY
        assert "by latency" in text(pilot)


@pytest.fixture
def book() -> DecisionBook:
    """The cluster's, in the state directory of the test."""
    found = DecisionBook.of("demo")
    for ts, event in DECISIONS:
        found.add(ts, event)
    return found


@pytest.mark.usefixtures("book")
async def test_decisions_are_shown_newest_first_and_are_called_old_when_they_are() -> None:
    async with shown(ScriptedAdviser()) as (pilot, feed, screen):
        said = " ".join(" ".join(map(plain, screen.book.lines)).split())
        assert "of now: the last one 1m00s ago" in text(pilot)
        assert said.index("not moved, n04.main to prefill: the lease") < said.index("suggested: pdctl move n04.main")
        assert said.index("suggested:") < said.index("hold 2P3D, better 3P2D") < said.index("hold 2P3D: 2P3D serves")
        the_app(pilot).wall = lambda: START_S + 4000.0
        await feed.push(snapshot(2, 3, tick=TICKS))
        await until(pilot, lambda: "old: 1h07m ago, nobody decides here now" in text(pilot), "their age")


@pytest.mark.usefixtures("book")
async def test_of_a_recording_the_decisions_of_that_time_and_why_there_is_no_ranking() -> None:
    adviser = ScriptedAdviser()
    operations = RecordingOperations(Path("x.rec"), "demo")
    settings = replace(STILL, start="advisor")
    feed = RecordingFeed(Tape(), clock=Hand())
    app = PdctlApp(feed, operations, settings, adviser=adviser, wall=lambda: START_S + 9e6)
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: "no ranking" in text(pilot), "the refusal")
        await until(pilot, lambda: "not moved" in text(pilot), "the decisions")
        assert "no ranking: the fleet is not known" in text(pilot)
        assert "· a recording holds no inventory" in text(pilot)
        assert "of now: the last one" in text(pilot)
        assert adviser.asked == []


async def test_of_a_recording_with_its_inventory_the_traffic_of_each_moment_is_ranked() -> None:
    adviser = ScriptedAdviser()
    operations = RecordingOperations(Path("x.rec"), "demo", fleet())
    feed = RecordingFeed(FarApart(), clock=Hand())
    app = PdctlApp(feed, operations, replace(STILL, start="advisor"), adviser=adviser, wall=lambda: START_S + 9e6)
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: "3P2D is best" in text(pilot), "the ranking")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: len(adviser.asked) == 2, "that of another moment")
        await pilot.press("m")
        assert operations.read_only
        assert isinstance(app.screen, AdvisorScreen)


def test_a_recording_takes_no_inventory_of_another_cluster(tmp_path: Path) -> None:
    inventory = Path(__file__).parents[2] / "inventories" / "r1-2p3d.yaml"
    found = fleet_of_cluster(inventory, "r1-2p3d")
    assert found is not None
    assert len(found.slots) == 5
    assert fleet_of_cluster(inventory, "demo") is None
    assert fleet_of_cluster(tmp_path / "inventory.yaml", "r1-2p3d") is None
    (tmp_path / "inventory.yaml").write_text("cluster: [", encoding="utf-8")
    assert fleet_of_cluster(tmp_path / "inventory.yaml", "r1-2p3d") is None


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("case", ["advisor", "advisor-refused", "advisor-ascii"])
@pytest.mark.usefixtures("book")
async def test_the_screen_is_as_it_was(case: str, size: tuple[int, int]) -> None:
    """`WRITE_GOLDEN=1` writes it anew; look at what changed before you commit it."""
    settings = replace(STILL, ascii_only=case == "advisor-ascii")
    seen = [snapshot(2, 0)] if case == "advisor-refused" else None
    found = TOO_CLOSE if case == "advisor-ascii" else BETTER
    async with shown(ScriptedAdviser(found), seen=seen, size=size, settings=settings) as (pilot, _, _):
        lines = screen_lines(pilot.app)
    path = GOLDEN / f"{case}-{size[0]}x{size[1]}.txt"
    if os.environ.get("WRITE_GOLDEN"):
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert lines == path.read_text(encoding="utf-8").splitlines()
    assert all(len(line) <= size[0] for line in lines)


async def test_a_process_of_its_own_ranks_every_split_and_refuses_in_the_same_words() -> None:
    slo = replace(r1_2p3d().slo, ttft_s=10.0, itl_s=0.15)
    query = Query(r1_2p3d(), 8192, 1024, 1.6, None, slo, Objective.GOODPUT, "typed")
    found = await ApartAdviser().advise(query)
    assert {row.words for row in found.rows} == {"1P4D", "2P3D", "3P2D", "4P1D", "5M"}
    assert [row.words for row in found.rows if row.now] == ["2P3D"]
    assert sum(row.best for row in found.rows) == 1
    with pytest.raises(TooThin, match="ITL 1 ms: a decode step of one request alone takes"):
        await ApartAdviser().advise(replace(query, slo=replace(slo, itl_s=0.001)))
