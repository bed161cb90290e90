"""A proposal in words: what stands against it, what changes, what it costs, and every step with its time."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import read
from pdctl.control.opened import Opened
from pdctl.control.proposal import Dip, Expected, Proposal
from pdctl.model.events import plain
from pdctl.text.duration import duration
from pdctl.text.escape import one_line


def show_proposal(options: Globals, propose: Callable[[Opened], Awaitable[Proposal]]) -> int:
    """`--dry-run` of a command: what it would do, and nothing done. Returns the exit code."""

    async def look(opened: Opened) -> int:
        proposal = await propose(opened)
        if options.json:
            say_json(options, "proposal", proposal_json(proposal), cluster=opened.deployment.cluster)
        else:
            click.echo("\n".join(proposal_lines(proposal)))
        return 0

    return read(options, look)


def proposal_lines(proposal: Proposal) -> Iterator[str]:
    """The lines of `--dry-run`."""
    plan = proposal.plan
    for text in proposal.warnings:
        yield f"! {one_line(text)}"
    for item in plan.blocked:
        yield f"? {item.subject}: left out, {item.node}: {one_line(item.trouble.cause)}"
    for held in plan.held:
        yield f"= {held.slot}: {one_line(held.text)}"
    for change in plan.changes:
        yield f"{change.kind.value} {change.subject}: {one_line(change.reason)}"
    for dip in proposal.dips:
        if dip.least < dip.before or dip.after != dip.before:
            yield _capacity(dip)
    if plan.steps:
        yield "steps:"
    for step in plan.steps:
        yield f"  {step.action.value} {step.subject}{_time(proposal.expected.get(step.id))}"
        if step.id in proposal.no_return:
            yield "  -- until here it can be taken back --"
    if plan.converged:
        yield "nothing to do"
    yield f"to do it: {shlex.join(proposal.command)}"


def proposal_json(proposal: Proposal) -> Mapping[str, Any]:
    """The proposal as a JSON-able document."""
    return {
        "converged": proposal.plan.converged,
        "command": list(proposal.command),
        "changes": [plain(change) for change in proposal.plan.changes],
        "steps": [
            {
                **plain(step),
                "id": step.id,
                "expected": plain(proposal.expected[step.id]) if step.id in proposal.expected else None,
                "no_return": step.id in proposal.no_return,
            }
            for step in proposal.plan.steps
        ],
        "capacity": [plain(dip) for dip in proposal.dips],
        "held": [plain(held) for held in proposal.plan.held],
        "blocked": [plain(item) for item in proposal.plan.blocked],
        "warnings": list(proposal.warnings),
    }


def _capacity(dip: Dip) -> str:
    then = f"{dip.after} then (floor {dip.floor})"
    return f"pool {dip.pool}: {dip.before} serve now, at least {dip.least} meanwhile, {then}"


def _time(expected: Expected | None) -> str:
    if expected is None:
        return ""
    if expected.high_s is None:
        low = f"{duration(expected.low_s)} at least" if expected.low_s else "as long as it takes"
        return f"  ({low}; {expected.basis})"
    return f"  ({duration(expected.low_s)} to {duration(expected.high_s)}; {expected.basis})"
