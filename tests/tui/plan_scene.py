"""A fleet whose moves go on when a test says so, and the screen on which one is planned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from textual.pilot import Pilot

from pdctl.control.execute import Interrupt
from pdctl.control.proposal import Dip, Expected, Proposal
from pdctl.control.request import Request
from pdctl.model.events import Event, RunEnded, StepDone, StepFailed, StepSkipped, StepStarted
from pdctl.plan.steps import Action, Plan, Step
from pdctl.tui.app import PdctlApp
from pdctl.tui.screens.ask import ChoosePool
from pdctl.tui.screens.plan import PlanScreen
from pdctl.tui.spans import plain
from tests.tui.fakes import FakeFeed, FakeOperations, app_over
from tests.tui.fleet import snapshot
from tests.tui.patience import on_screen, until
from tests.unit.deployments import r1_2p3d

NAME = "n05.main.0"
STEPS = tuple(
    Step(action, NAME, "n05", "to move") for action in (Action.FENCE, Action.DRAIN, Action.STOP, Action.START)
)
PROPOSAL = Proposal(
    Plan("move", (), STEPS),
    ("pdctl", "move", "n05", "--to", "prefill"),
    dips=(Dip("prefill", 2, 2, 3, 1), Dip("decode", 3, 2, 2, 1)),
    expected={STEPS[0].id: Expected(1.0, 2.0, "settings"), STEPS[1].id: Expected(2.0, None, "settings")},
    warnings=("decode will be busy",),
    effect="TTFT p99 falls by a third",
    no_return=frozenset({STEPS[2].id}),
)


@dataclass
class Fleet(FakeOperations):
    """A move that goes on when it is told to: `go` for what is before the point of no return, `go_on` for the rest."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False

    async def carry_out(self, request: Request, sink: Callable[[Event], None], interrupt: Interrupt) -> int:
        self.asked.append(("carry_out", request))
        done = 0
        for place, step in enumerate(STEPS):
            if interrupt.asked.is_set():
                sink(StepSkipped(step.id, step.action.value, NAME, interrupt.reason))
                continue
            sink(StepStarted(step.id, step.action.value, NAME, "n05", ""))
            await first_of(self.go if place < 2 else self.go_on, interrupt.asked)
            if place == 3 and self.fails:
                hint = "look at `pdctl logs`"
                sink(
                    StepFailed(
                        step.id, "start", NAME, "n05", "out of memory", hint, 1, last_lines=("HIP out of memory",)
                    )
                )
            else:
                sink(StepDone(step.id, step.action.value, NAME, 1.0))
                done += 1
        code = 130 if interrupt.asked.is_set() else 1 if self.fails else 0
        sink(RunEnded("move", code, done, int(self.fails), len(STEPS) - done, 4.0, interrupt.reason))
        return code


async def first_of(*events: asyncio.Event) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def fleet(**fields: object) -> Fleet:
    """Operations on 2P3D, the cluster of the snapshots by its name."""
    deployment = r1_2p3d()
    return Fleet(deployment=replace(deployment, cluster="demo"), proposal=PROPOSAL, **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def shown(operations: FakeOperations, size: tuple[int, int] = (100, 30)) -> AsyncIterator[Pilot[int]]:
    feed = FakeFeed()
    app = app_over(feed, operations, start="nodes")
    async with app.run_test(size=size) as pilot:
        await feed.push(snapshot())
        await pilot.pause()
        yield pilot


def the_app(pilot: Pilot[int]) -> PdctlApp:
    assert isinstance(pilot.app, PdctlApp)
    return pilot.app


def text(pilot: Pilot[int]) -> str:
    screen = pilot.app.screen
    assert isinstance(screen, PlanScreen)
    return "\n".join(plain(line) for line in screen.lines(100))


async def plan_of_move(pilot: Pilot[int]) -> PlanScreen:
    """`m`, and the pool that is not the row's."""
    the_app(pilot).begin_change("move", ("n05",))
    await on_screen(pilot, ChoosePool)
    await pilot.press("enter")
    screen = await on_screen(pilot, PlanScreen)
    operations = the_app(pilot).operations
    if not (isinstance(operations, FakeOperations) and operations.hang):
        await until(pilot, lambda: screen.proposal or screen.refused, "the plan")
    return screen


async def agreed(pilot: Pilot[int]) -> None:
    """The key beside Cancel."""
    await pilot.press("tab", "enter")
    await until(pilot, lambda: the_app(pilot).runs.view, "the run has begun")


async def ended(pilot: Pilot[int]) -> None:
    await the_app(pilot).runs.ended()
    await pilot.pause()


async def left(pilot: Pilot[int]) -> None:
    """The plan's screen is gone."""
    await until(pilot, lambda: not isinstance(pilot.app.screen, PlanScreen), "the plan is left")
