"""`run --dry-run`: what each step would do as things are now, with what earlier steps write into the inventory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from pdctl.control.opened import Opened
from pdctl.control.planning import plan
from pdctl.control.playbook_verbs import request_of, up_options
from pdctl.control.proposal import Proposal
from pdctl.control.propose import propose
from pdctl.errors import PdctlError
from pdctl.inventory.document import Document
from pdctl.inventory.edit import loc_of, written_at
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.inventory.playbook_schema import (
    DownVerb,
    DrainVerb,
    GateVerb,
    MoveVerb,
    RestartVerb,
    SetVerb,
    SmokeVerb,
    UndrainVerb,
    UpVerb,
)
from pdctl.inventory.select import select
from pdctl.model.playbook_events import PlaybookStepForeseen
from pdctl.plan.playbook_program import Program, Task, with_scalar
from pdctl.plan.playbook_words import wanted
from pdctl.plan.steps import Plan
from pdctl.routers.ports import client_url

CHANGES = frozenset({"up", "down", "move", "drain", "undrain", "restart"})
"""Verbs after which the cluster is another than the one that was looked at."""


@dataclass(slots=True)
class Foresight:
    """Looks ahead on one cluster. `opened` is the cluster as the inventory has it after the steps so far."""

    opened: Opened
    changed: bool = False

    async def steps(self, program: Program) -> AsyncIterator[PlaybookStepForeseen]:
        """Every step of the program, in order. Nothing is changed."""
        for task in program.tasks:
            lines = await self._lines(task)
            undo = tuple(step.title for step in task.undo)
            depends = self.changed and task.verb in CHANGES
            yield PlaybookStepForeseen(task.id, task.verb, task.title, lines, undo, depends)
            self.changed = self.changed or task.verb in CHANGES

    async def _lines(self, task: Task) -> tuple[str, ...]:
        try:
            return await self._of(task)
        except PdctlError as error:
            return (f"cannot be said now: {error.message}",)

    async def _of(self, task: Task) -> tuple[str, ...]:
        deployment = self.opened.deployment
        match task.args:
            case SetVerb() as args:
                return self._set(args)
            case UpVerb() as args:
                return plan_words((await plan(self.opened, up_options(deployment, args))).plan)
            case DownVerb() as args:
                chosen_ = select(deployment, (args.select,) if args.select else ()).instances
                return (f"fence, drain and stop {', '.join(each.name for each in chosen_)}",)
            case MoveVerb() | DrainVerb() | UndrainVerb() | RestartVerb():
                return proposal_words(await propose(self.opened, request_of(task, self.opened.cluster.clock.time())))
            case GateVerb() as args:
                conditions = tuple(f"until {each}" for each in wanted(args))
                return (*conditions, f"for {args.settle:g} s without a break, at most {args.within:g} s")
            case SmokeVerb() as args:
                return (f"to {args.url or client_url(deployment)}",)
            case _:
                return ()

    def _set(self, args: SetVerb) -> tuple[str, ...]:
        inventory = self.opened.inventory
        before = written_at(inventory.text, loc_of(inventory.text, args.path))
        text = with_scalar(inventory.text, args, inventory.path)
        after = parse(text.encode(), inventory.path)
        cluster = replace(self.opened.cluster, deployment=place(after))
        self.opened = replace(self.opened, cluster=cluster, inventory=after)
        now = written_at(text, loc_of(text, args.path))
        line = Document(inventory.text, "").spot(loc_of(inventory.text, args.path))[0].value.start_mark.line + 1
        if before == now:
            return (f"{args.path} is {now} already",)
        return (f"{inventory.path}:{line}: {before} -> {now}",)


def plan_words(plan: Plan) -> tuple[str, ...]:
    """A plan's changes, and what it cannot reach."""
    changes = [
        f"{change.kind.value} {change.subject}: {', '.join(change.differences) or change.reason}"
        for change in plan.changes
    ]
    blocked = [f"nothing can be said of {item.subject}: {item.trouble.cause}" for item in plan.blocked]
    return (*changes, *blocked) or ("nothing to do",)


def proposal_words(proposal: Proposal) -> tuple[str, ...]:
    """A proposal's changes, the dip in capacity, and its warnings."""
    dips = [
        f"{dip.pool}: {dip.before} serving, {dip.least} at the worst, {dip.after} after (floor {dip.floor})"
        for dip in proposal.dips
    ]
    return (*plan_words(proposal.plan), *dips, *(f"warning: {each}" for each in proposal.warnings))
