"""A plan in words: what stands against it, what was edited, what drifted, what will be done, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator

from pdctl.control.planning import Planning
from pdctl.plan.floors import PoolDip
from pdctl.plan.steps import Change, ChangeKind
from pdctl.text.escape import one_line

_SIGNS = {
    ChangeKind.START: "+",
    ChangeKind.ADOPT: "~",
    ChangeKind.REPLACE: "±",
    ChangeKind.RESTART: "±",
    ChangeKind.STOP: "-",
    ChangeKind.FIX: "*",
    ChangeKind.HOLD: "=",
    ChangeKind.RELEASE: "+",
    ChangeKind.DRAIN: "-",
}


def plan_lines(planning: Planning, *, steps: bool) -> Iterator[str]:
    """The lines of `pdctl plan`; `steps`: every step with what it waits for."""
    plan = planning.plan
    for refusal in planning.refusals:
        yield f"! `pdctl up` would be refused: {one_line(refusal.message)}"
        yield f"    hint: {one_line(refusal.hint)}"
    for item in plan.blocked:
        yield f"? {item.subject}: left out, {item.node}: {one_line(item.trouble.cause)}"
        if item.trouble.hint:
            yield f"    hint: {one_line(item.trouble.hint)}"
    for text in plan.warnings:
        yield f"! {one_line(text)}"
    for held in plan.held:
        yield f"= {held.slot}: {one_line(held.text)}"
    if planning.edits:
        yield "edited since the inventory was last applied:"
        yield from (f"  {one_line(str(edit))}" for edit in planning.edits)
    drifted = [change for change in plan.changes if change.subject in planning.drift]
    changed = [change for change in plan.changes if change.subject not in planning.drift]
    if changed:
        yield "changes:"
        for change in changed:
            yield from _change(change, change.reason)
    if drifted:
        yield "drift, which the inventory did not ask for:"
        for change in drifted:
            yield from _change(change, planning.drift[change.subject].text)
    for dip in planning.dips:
        if dip.least < dip.before:
            yield _capacity(dip)
    if steps:
        yield from _steps(planning)
    if plan.converged:
        yield "nothing to do: the cluster is what the inventory says"


def _change(change: Change, why: str) -> Iterator[str]:
    yield f"  {_SIGNS[change.kind]} {change.kind.value} {change.subject}: {one_line(why)}"
    for difference in change.differences:
        yield f"      {one_line(difference)}"


def _capacity(dip: PoolDip) -> str:
    then = f"{dip.after} then (floor {dip.floor})"
    return f"pool {dip.pool}: {dip.before} serve now, at least {dip.least} meanwhile, {then}"


def _steps(planning: Planning) -> Iterator[str]:
    yield "steps:"
    for step in planning.plan.steps:
        waits = ", ".join((*step.needs, *step.after))
        yield f"  {step.id}" + (f"  <- {waits}" if waits else "")
