"""`move`: change the pool of slots, one transaction over inventory, router and engines for each, with nothing lost.

Before its commit (the inventory's scalar) a slot is only fenced and drained, which is taken back on a failure or an
interrupt. After its stop it can only go on, and `pdctl up` finishes what a dead controller left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from pdctl.control.base import BaseRecord, check_base
from pdctl.control.execute import Handler
from pdctl.control.journal import Session
from pdctl.control.lease import Applied
from pdctl.control.move_edit import Edited, edited, with_pools
from pdctl.control.move_end import MoveEnd
from pdctl.control.opened import Opened
from pdctl.control.proposal import Proposal
from pdctl.control.proposing import proposal_of, read_record, seen_now
from pdctl.control.request import MoveRequest
from pdctl.control.run import Run
from pdctl.control.steps.commit import Commits
from pdctl.control.steps.context import RunContext
from pdctl.control.steps.drain import drain as drain_step
from pdctl.control.steps.prove import prove
from pdctl.control.steps.prove_pairs import prove_none, prove_pairs
from pdctl.control.up import node_gate, refuse_fences, refuse_unsupported
from pdctl.engines.spec_hash import diff_fields, spec_fields
from pdctl.errors import InventoryError, PlanRefused, UsageError
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.model.events import Event
from pdctl.model.observed import Observed, Trouble
from pdctl.plan.floors import serving_pools
from pdctl.plan.move import plan_move, point_of_no_return
from pdctl.plan.steps import Action, Plan

PENDING = "the inventory holds edits that are not applied yet; a move leaves them alone, `pdctl up` applies them"


async def propose_move(opened: Opened, request: MoveRequest) -> Proposal:
    """What `move` would do now. Read-only. Raises as it would."""
    found = _checked(opened, request)
    seen, told = await asyncio.gather(seen_now(opened), read_record(opened))
    check_base(found.before, told.applied, BaseRecord.of(found.before).read(), adopt=False)
    plan = _plan(found, request, seen, told.applied, {})
    proposal = proposal_of(found.after, seen, plan, move_command(request), told.entries)
    return replace(proposal, no_return=point_of_no_return(found.shifts) if plan.steps else frozenset())


async def move(opened: Opened, request: MoveRequest, session: Session) -> int:
    """Move the slots. Returns the exit code: 0 too where they are in that pool already.

    Raises PlanRefused for what a floor, a hold or what runs there forbids, UsageError and InventoryError for what the
    inventory does: all before anything is touched.
    """
    found = _checked(opened, request)
    commits = Commits(found, opened.file, BaseRecord.of(found.before))
    await commits.unchanged()
    end = MoveEnd(found.shifts, commits, session.interrupt)
    after = Opened(replace(opened.cluster, deployment=found.after), opened.inventory, opened.written)
    gate = node_gate(after, skip=request.skip_checks)

    def make_plan(observed: Observed, applied: Applied | None, refused: Mapping[str, Trouble]) -> Plan:
        return _plan(found, request, observed, applied, refused)

    def own_steps(ctx: RunContext) -> Mapping[Action, Handler]:
        first = prove if gate is None else gate.prover()
        proofs = {"all": prove_pairs(first), "one": first, "none": prove_none}
        return {
            Action.COMMIT: partial(commits.commit, ctx),
            Action.DRAIN: partial(drain_step, ctx, must=request.on_deadline == "cancel"),
            Action.PROVE: partial(proofs[request.canary], ctx),
        }

    def sink(event: Event) -> None:
        end.see(event)
        session.sink(event)

    run = Run(
        after.cluster,
        "move",
        make_plan,
        Session(sink, session.interrupt, session.run),
        base=BaseRecord.of(found.before),
        before=found.before,
        gate=gate,
        own_steps=own_steps,
        afterwards=end.afterwards,
    )
    return await run.go()


def move_command(request: MoveRequest) -> tuple[str, ...]:
    """The argv of the CLI twin."""
    return (
        "pdctl",
        "move",
        *request.selectors,
        "--to",
        request.to,
        *(("--at-once", str(request.at_once)) if request.at_once != 1 else ()),
        *(("--force",) if request.force else ()),
        *(("--on-deadline", request.on_deadline) if request.on_deadline != "cut" else ()),
        *(("--canary", request.canary) if request.canary != "all" else ()),
        *(("--skip-checks",) if request.skip_checks else ()),
    )


def _checked(opened: Opened, request: MoveRequest) -> Edited:
    for name, value, known in (
        ("on_deadline", request.on_deadline, ("cut", "cancel")),
        ("canary", request.canary, ("all", "one", "none")),
    ):
        if value not in known:
            raise UsageError(f"{name} is {value!r}", hint=f"one of: {', '.join(known)}")
    found = edited(opened.inventory, opened.deployment, request)
    refuse_unsupported(found.after)
    return found


def _plan(
    found: Edited,
    request: MoveRequest,
    observed: Observed,
    applied: Applied | None,
    refused: Mapping[str, Trouble],
) -> Plan:
    _refuse_mixing(found, applied)
    made = plan_move(found.after, found.shifts, observed, at_once=request.at_once, force=request.force, refused=refused)
    serving = serving_pools(found.after, observed)
    idle = [each.name for each in found.there if serving.get(each.name) != each.pool]
    half = (f"{', '.join(idle)} is in {request.to} already and does not serve there: `pdctl up` sees to it",)
    pending = applied is not None and not applied.trouble and applied.digest != found.inventory.digest
    return refuse_fences(
        found.after, replace(made, warnings=(*made.warnings, *(half if idle else ()), *((PENDING,) if pending else ())))
    )


def _refuse_mixing(found: Edited, applied: Applied | None) -> None:
    """Raises PlanRefused if edits that are not applied yet would come into force with the engines that a move starts,
    and with no others: a KV mode, an image."""
    if applied is None or applied.trouble or applied.digest == found.inventory.digest:
        return
    text = applied.text
    try:
        for shift in found.shifts:
            text = with_pools(text, shift.slots, shift.to)
        old = place(parse(text.encode(), Path(found.before.source)))
        fields = {each.name: spec_fields(old, each) for each in old.instances}
    except (InventoryError, PlanRefused):
        return  # a pool or a slot that is new
    for shift in found.shifts:
        for instance in shift.coming:
            changed = diff_fields(fields.get(instance.name, {}), spec_fields(found.after, instance))
            if changed:
                raise PlanRefused(
                    f"edits that are not applied yet would change what starts on {shift.name}: {changed[0]}",
                    hint="`pdctl up` applies them; then move it",
                )
