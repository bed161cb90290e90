"""`demo --auto`: the traffic of a simulated fleet turns, and `watch --auto` follows it with the ratio of the pools.

All of it is what an operator would run: `up`, a load through the router, the keeper with the policy, `down`. Engines
run faster than life, and the policy's times are those of life.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pdctl.control.decision_book import DecisionBook
from pdctl.control.demo_nodes import DemoFleet, FleetOptions
from pdctl.control.demo_record import DemoNodes, Leftover
from pdctl.control.down import down
from pdctl.control.follow import SettledFile, linked
from pdctl.control.journal import Session
from pdctl.control.keeper import Keeper
from pdctl.control.opened import Opened, open_cluster
from pdctl.control.rebalance import Mode, Rebalance, pace_of, rebalancer_of
from pdctl.control.steps.routing import router_url
from pdctl.control.up import UpOptions, up
from pdctl.model.deployment import Deployment
from pdctl.model.events import Event, Moved
from pdctl.model.keeper_events import RatioDecided, Rebalanced, Rebalancing, TrafficTurned
from pdctl.model.outcome import OutcomeCounts
from pdctl.model.role import Role

SPEED: Final = 20
AUTO_FLEET: Final = FleetOptions(
    env={"PDCTL_SIM_PROFILE": "r1-mi300x-ep8", "PDCTL_SIM_SPEED": str(SPEED)},
    prefill_tokens=8192,
    decode_seqs=8,
    ttft="1s",
    itl="5ms",
)
"""Eight sequences on a decode engine at 20 times the pace of life: some 7,000 tokens a second in all, which two cores
serve. Under 8K/1K two prefill engines are needed, under 1K/8K four decode engines."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Requests of one shape, at a rate per second, by the clock here."""

    seconds: float
    isl: int
    osl: int
    rate_per_s: float


AUTO_PHASES: Final = (Phase(25.0, 8192, 1024, 5.8), Phase(70.0, 1024, 8192, 0.93))
SETTLED_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Offered:
    """What came of the load. `failures`: the commonest, with their counts."""

    counts: OutcomeCounts
    took_s: float
    failures: Sequence[tuple[str, int]] = ()


Offer = Callable[[str, str, Sequence[Phase], Callable[[], bool]], Awaitable[Offered]]
"""Sends the phases one after the other to a router's URL, for a model; nothing more once the last argument says so."""


@dataclass(slots=True)
class AutoOutcome:
    """What a demo of the policy came to; filled as it goes. `turned_s`, `moved_s`: seconds after the load's begin at
    which the traffic turned first and the first move was decided; None: never."""

    nodes: int = 0
    layout: str = ""
    ended_as: str = ""
    up_code: int | None = None
    down_code: int | None = None
    offered: Offered | None = None
    decided: list[RatioDecided] = field(default_factory=list)
    rebalancing: list[Rebalancing] = field(default_factory=list)
    rebalanced: list[Rebalanced] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    turned_s: float | None = None
    moved_s: float | None = None
    leftovers: tuple[Leftover, ...] = ()
    interrupted: bool = False

    @property
    def whole(self) -> bool:
        """Every request answered, nothing cut by a move, at least one move and none that failed."""
        lost = self.offered is None or self.offered.counts.failed or not self.offered.counts.ok
        cut = any(event.cut for event in self.moved)
        return not lost and not cut and bool(self.rebalanced) and not any(each.exit_code for each in self.rebalanced)

    @property
    def exit_code(self) -> int:
        """0 only if all of it went as it should, and nothing is left."""
        if self.up_code:
            return self.up_code
        if self.down_code or self.leftovers:
            return 1
        if self.interrupted:
            return 130
        return 0 if self.whole else 1

    def summary(self) -> dict[str, Any]:
        """Counts, decisions and moves. `after_s`: from the turn of the traffic to the decision to move."""
        counts = self.offered.counts if self.offered else OutcomeCounts()
        after_s = None if self.turned_s is None or self.moved_s is None else round(self.moved_s - self.turned_s, 1)
        return {
            "nodes": self.nodes,
            "layout": self.layout,
            "ended_as": self.ended_as,
            "requests": counts.total,
            "ok": counts.ok,
            "failed": counts.failed,
            "load_s": round(self.offered.took_s, 1) if self.offered else None,
            "decisions": len(self.decided),
            "moves": sum(1 for each in self.rebalanced if not each.exit_code),
            "moves_failed": sum(1 for each in self.rebalanced if each.exit_code),
            "moves_cut": sum(event.cut for event in self.moved),
            "moves_s": [round(event.took_s, 1) for event in self.moved],
            "why": [event.reason for event in self.rebalancing],
            "after_s": after_s,
            "leftovers": len(self.leftovers),
            "exit_code": self.exit_code,
        }


async def run_auto_demo(options: FleetOptions, phases: Sequence[Phase], offer: Offer, session: Session) -> AutoOutcome:
    """Nodes, up, the load with the policy beside it, down, and the end of everything that ran.

    An interrupt ends what is under way in order. Raises PdctlError if the simulated nodes do not start.
    """
    outcome = AutoOutcome(layout=options.layout)
    with tempfile.TemporaryDirectory(prefix="pdctl-demo-") as directory:
        fleet = DemoFleet(Path(directory), options)
        async with fleet as nodes:
            outcome.nodes = len(nodes.nodes)
            await _serve(nodes, Path(directory), phases, offer, session, outcome)
        outcome.leftovers = fleet.leftovers
    return outcome


async def _serve(
    nodes: DemoNodes, directory: Path, phases: Sequence[Phase], offer: Offer, session: Session, outcome: AutoOutcome
) -> None:
    async with open_cluster(nodes.inventory) as opened:
        outcome.up_code = await up(opened, UpOptions(), session)
        if outcome.up_code == 0:
            book = DecisionBook(directory / "decisions.jsonl")
            await _followed(opened, book, phases, offer, session, outcome)
    async with open_cluster(nodes.inventory) as opened:  # as the moves have left it
        outcome.ended_as = _layout(opened.deployment)
        # The first interrupt asked for this very `down`, so it does not count as one of its own.
        outcome.down_code = await down(opened, Session(session.sink, type(session.interrupt)(), session.run))
        outcome.interrupted = session.interrupt.asked.is_set()


def _layout(deployment: Deployment) -> str:
    roles = [deployment.pools[slot.pool].role for slot in deployment.slots if slot.pool]
    return f"{roles.count(Role.PREFILL)}P{roles.count(Role.DECODE)}D"


async def _followed(
    opened: Opened, book: DecisionBook, phases: Sequence[Phase], offer: Offer, session: Session, outcome: AutoOutcome
) -> None:
    """The load, with the keeper at work meanwhile, and until its last move has ended."""
    clock, path, asked = opened.cluster.clock, opened.inventory.path, session.interrupt.asked
    began_s = clock.monotonic()

    def sink(event: Event) -> None:
        _note(outcome, event, clock.monotonic() - began_s)
        session.sink(event)

    async with linked(Session(sink, session.interrupt, session.run), session.run) as keeping:
        deployment = opened.deployment
        policy = rebalancer_of(deployment, ())
        rebalance = Rebalance(keeping, clock, Mode.APPLY, policy, book, open_cluster, pace_of(deployment))
        keeper = Keeper(keeping, clock, SettledFile(path), open_cluster, rebalance=rebalance)
        running = asyncio.create_task(keeper.run())
        try:
            async with _told(phases, sink):
                model = deployment.model.name
                outcome.offered = await offer(router_url(deployment), model, phases, asked.is_set)
            await rebalance.settle()
            await asyncio.sleep(0.0 if asked.is_set() else SETTLED_S)
        finally:
            keeping.interrupt.stop("the load is over")
            await running


@contextlib.asynccontextmanager
async def _told(phases: Sequence[Phase], sink: Callable[[Event], None]) -> AsyncIterator[None]:
    """Say when the traffic turns."""

    async def tell() -> None:
        for phase in phases:
            sink(TrafficTurned(phase.isl, phase.osl, phase.rate_per_s, phase.seconds))
            await asyncio.sleep(phase.seconds)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


def _note(outcome: AutoOutcome, event: Event, at_s: float) -> None:
    match event:
        case RatioDecided():
            outcome.decided.append(event)
        case Rebalancing():
            outcome.rebalancing.append(event)
            outcome.moved_s = at_s if outcome.moved_s is None else outcome.moved_s
        case Rebalanced():
            outcome.rebalanced.append(event)
        case Moved():
            outcome.moved.append(event)
        case TrafficTurned() if at_s > 1.0 and outcome.turned_s is None:
            outcome.turned_s = at_s
        case _:
            pass
