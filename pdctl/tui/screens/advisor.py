"""Advisor: which split would serve this traffic best and why, how it is served now, and what `watch --auto` decided."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from dataclasses import replace
from typing import Final, TypeAlias

from textual import events, work
from textual.app import ComposeResult
from textual.containers import Container

from pdctl.advisor.first_step import Step, as_seen, donor_slot
from pdctl.advisor.observed import Observed
from pdctl.advisor.rank import Objective
from pdctl.control.decision_book import KEPT, DecisionBook
from pdctl.errors import PdctlError, TooThin
from pdctl.model.deployment import Deployment, Slo
from pdctl.model.snapshot import Snapshot
from pdctl.tui.advising import Adviser, Query
from pdctl.tui.advisor_lines import AdvisorView, Ranking, advisor_lines
from pdctl.tui.decision_lines import Decisions, decision_lines, until
from pdctl.tui.screens.base import ViewScreen
from pdctl.tui.traffic import measured_cells, traffic_of
from pdctl.tui.what_if import HINT, WhatIf, command_of, parse_what_if, query_of
from pdctl.tui.widgets.canvas import Canvas
from pdctl.tui.widgets.prompt import Prompt

EVERY_S: Final = 30.0
"""Between two rankings of a workload that goes on, while somebody looks."""
PLAYED_S: Final = 5.0
"""Where a recording is played fast."""
BOOK_EVERY_S: Final = 5.0
HELD_S: Final = 3.0
"""How long it is waited for what is held, before a plan."""
WIDE: Final = 140
Question: TypeAlias = tuple[WhatIf | None, Objective, Slo, tuple[tuple[str, str | None], ...]]


class AdvisorScreen(ViewScreen):
    """Ranks by itself while it is looked at; nothing is moved. What was ranked last stays, with its age."""

    VIEW = "advisor"
    DEFAULT_CSS = """
    AdvisorScreen #halves { height: 1fr; width: 1fr; layout: vertical; }
    AdvisorScreen #decisions { height: 6; border-top: solid $panel; }
    AdvisorScreen #halves.-wide { layout: horizontal; }
    AdvisorScreen #halves.-wide #decisions { height: 1fr; width: 52; border-top: none; border-left: solid $panel; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.ranking = Ranking()
        self.decisions = Decisions()
        self.typed: WhatIf | None = None
        self.objective = Objective.GOODPUT
        self.traffic: Observed | None = None
        self.thin: PdctlError | None = None
        self.wanted: Query | None = None
        self._asked: Question | None = None
        self._answered: Question | None = None
        self._asked_s = float("-inf")
        self._asked_taken_s = 0.0
        self._read_s = float("-inf")
        self._adviser: Adviser | None = self.pdctl.adviser
        self.advice = Canvas(lambda: self.look, id="advice")
        self.book = Canvas(lambda: self.look, id="decisions")

    def body(self) -> ComposeResult:
        with Container(id="halves"):
            yield self.advice
            yield self.book

    def on_mount(self) -> None:
        self.advice.focus()

    def show(self, snapshot: Snapshot) -> None:
        self._consider(snapshot)
        self._draw()

    def take(self, snapshot: Snapshot | None) -> None:
        """Ages grow where nothing new came."""
        super().take(snapshot)
        if snapshot is None and self.seen is not None:
            self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self.query_one("#halves").set_class(event.size.width >= WIDE, "-wide")
        self.call_after_refresh(self._draw)

    # --- what is asked

    def _consider(self, snapshot: Snapshot) -> None:
        """Look at the traffic, and ask for a ranking where it is time to."""
        self.thin = self.wanted = self.traffic = None
        try:
            self.traffic = traffic_of(self.pdctl.history, snapshot)
        except TooThin as error:
            self.thin = TooThin(error.message, hint="wait for more of it, or type a workload: `i`")
        try:
            fleet = _known(as_seen(self.pdctl.operations.deployment, snapshot))
            if self.typed is not None:
                self.thin = None
            if self.thin is None:
                self.wanted = query_of(fleet, self.traffic, self.typed, self.objective)
        except TooThin as error:
            self.thin = error
        question = self._question(self.wanted) if self.wanted is not None else None
        if self.wanted is not None and question is not None and self._due(snapshot, question):
            if question != self._asked:
                self.ranking = replace(self.ranking, refusal=None)
            self._asked, self._asked_s, self._asked_taken_s = question, self.pdctl.wall(), snapshot.taken_s
            self.rank(self.wanted, question)
        if self.pdctl.wall() - self._read_s >= BOOK_EVERY_S:
            self._read_s = self.pdctl.wall()
            self.read_decisions(snapshot.cluster, self._now_s(snapshot))

    def _question(self, query: Query) -> Question:
        """What makes it another question; observed figures drift, and are looked at again in time."""
        return self.typed, query.objective, query.slo, tuple((slot.id, slot.pool) for slot in query.deployment.slots)

    def _due(self, snapshot: Snapshot, question: Question) -> bool:
        """Never beside another one; at once for another question or a time that was gone to; else every so often."""
        if self.ranking.began_s is not None:
            return False
        if question != self._asked:
            return True
        transport, since_s = self.pdctl.feed.transport, self.pdctl.wall() - self._asked_s
        if abs(snapshot.taken_s - self._asked_taken_s) > 2 * EVERY_S:
            return since_s >= PLAYED_S or (transport is not None and not transport.playing)
        return snapshot.taken_s != self._asked_taken_s and since_s >= EVERY_S

    @work(exclusive=True, group="advice", exit_on_error=False, description="a ranking of splits")
    async def rank(self, query: Query, question: Question) -> None:
        """Beside the screen, in a process of its own. What cannot be ranked anew stays, with its age."""
        self.ranking = replace(self.ranking, began_s=self.pdctl.wall())
        refusal: PdctlError | None = None
        found = None
        try:
            found = await self._the_adviser().advise(query)
        except PdctlError as error:
            refusal = error
        except Exception as error:  # a defect of ours is said, and the screen goes on
            refusal = PdctlError(f"internal error: {error!r}", hint="please report this")
        if found is not None:
            self.ranking, self._answered = Ranking(found, self.pdctl.wall()), question
        else:
            self.ranking = replace(self.ranking, began_s=None, refusal=refusal)
        if self.is_mounted and self.seen is not None:
            self.show(self.seen)

    def _the_adviser(self) -> Adviser:
        if self._adviser is None:
            from pdctl.tui.advice_apart import ApartAdviser

            self._adviser = ApartAdviser()
        return self._adviser

    @work(exclusive=True, group="decisions", exit_on_error=False, description="decisions of watch --auto")
    async def read_decisions(self, cluster: str, at_s: float) -> None:
        """From this machine's book; of a recording, those that were there by then."""
        entries = await asyncio.to_thread(DecisionBook.of(cluster).last, KEPT)
        self.decisions = Decisions(until(entries, at_s))
        if self.is_mounted:
            self._draw()

    def _now_s(self, snapshot: Snapshot) -> float:
        """The wall time that is shown: a recording's own."""
        return snapshot.taken_s if self.pdctl.looks_back else self.pdctl.wall()

    # --- what is shown

    @property
    def answered(self) -> bool:
        """Whether the last ranking is of what is asked for now."""
        return self.wanted is not None and self._answered == self._question(self.wanted)

    def _draw(self) -> None:
        snapshot = self.seen
        if snapshot is None or not self.advice.size.width:
            return
        view = AdvisorView(
            typed=self.wanted.source if self.typed is not None and self.wanted is not None else self._typed_text(),
            objective=self.objective,
            traffic=self.traffic,
            thin=self.thin,
            measured=measured_cells(snapshot),
            ranking=self.ranking,
            answered=self.answered,
            move=self._move_text(),
            now_s=self.pdctl.wall(),
        )
        self.advice.set_lines(advisor_lines(view, max(40, self.advice.size.width - 3)))
        wide = self.query_one("#halves").has_class("-wide")
        columns = max(20, self.book.size.width - 4)
        self.book.set_lines(decision_lines(self.decisions, self._now_s(snapshot), columns, whole=wide))

    def _typed_text(self) -> str:
        return self.typed.text if self.typed is not None else ""

    def _move_text(self) -> str:
        step = self.ranking.advice.step if self.ranking.advice is not None else None
        if step is None:
            return ""
        return f"m plans the first move, a {step.donor} slot to {step.donor.opposite}; nothing moves by itself"

    def command(self) -> str:
        return command_of(self.typed, self.wanted, self.objective)

    # --- keys

    def action_rank(self) -> None:
        """Rank again, unless that is being done."""
        if self.ranking.began_s is None and self.seen is not None:
            self._asked = None
            self.show(self.seen)

    def action_objective(self) -> None:
        """The next thing to rank by."""
        every = list(Objective)
        self.objective = every[(every.index(self.objective) + 1) % len(every)]
        if self.seen is not None:
            self.show(self.seen)

    def action_what_if(self) -> None:
        """Ask for a workload."""
        self.prompt.ask("workload", self._typed_text(), hint=HINT)

    def on_prompt_done(self, message: Prompt.Done) -> None:
        if message.kind == "workload":
            self.complain(self.apply_filter(message.text))

    def apply_filter(self, text: str) -> str:
        """Rank this workload; what is wrong with it, "" if nothing is."""
        try:
            self.typed = parse_what_if(text) if text.strip() else None
        except ValueError as error:
            return str(error)
        if self.seen is not None:
            self.show(self.seen)
        return ""

    def action_level_up(self) -> None:
        """Back to what is observed."""
        self.forgive()
        if self.typed is not None:
            self.apply_filter("")

    def action_move(self) -> None:
        """The first move to the best split, as a plan."""
        advice = self.ranking.advice
        if advice is None or self.seen is None or not self.answered:
            self.notify("this is not ranked yet", severity="warning")
        elif advice.step is None:
            self.notify(advice.no_step, severity="warning")
        else:
            self.plan_move(advice.step, self.seen)

    @work(exclusive=True, group="step", exit_on_error=False, description="which slot would move")
    async def plan_move(self, step: Step, snapshot: Snapshot) -> None:
        """What is held is asked for first; where nobody says it in time, the plan itself will."""
        held: Collection[str] = ()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HELD_S):
                held = (await self.pdctl.operations.activity(0)).holds.standing
        held = {*held, *(f"{each.node}.{each.slot}" for each in snapshot.instances.values() if each.held)}
        fleet = as_seen(self.pdctl.operations.deployment, snapshot)
        slot = donor_slot(fleet, step.donor, snapshot, held, step.kind)
        pools = [pool.name for pool in fleet.pools.values() if pool.role is step.donor.opposite]
        if slot is None:
            self.notify(f"no slot of {step.donor} is free to move: each is pinned or held", severity="warning")
        elif self.is_current:
            self.pdctl.begin_change("move", (slot.id,), to=pools[0] if len(pools) == 1 else "")


def _known(fleet: Deployment) -> Deployment:
    """Raises TooThin where there is no fleet to rank the splits of."""
    if not fleet.slots:
        raise TooThin(
            "the fleet is not known: a recording holds no inventory, and none of its cluster was given",
            hint="`pdctl -i INVENTORY replay FILE` names it",
        )
    return fleet
