"""From a plan to a proposal: what was seen now, how long steps took here before, what pools lose meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from pdctl.control.expected_times import expected_times
from pdctl.control.history import Record, read_holds, record
from pdctl.control.hold_record import must_be_known
from pdctl.control.observe import observe
from pdctl.control.opened import Opened
from pdctl.control.proposal import Dip, Expected, Proposal
from pdctl.errors import NodeError
from pdctl.model.deployment import Deployment
from pdctl.model.observed import Observed
from pdctl.plan.floors import pool_dips
from pdctl.plan.steps import Action, Plan

JOURNAL_LINES: Final = 600
"""How far back starts are looked for."""
MEASURED: Final = "measured on this cluster"
_MEASURABLE: Final = (Action.STOP, Action.START, Action.AWAIT_READY, Action.PROVE, Action.REGISTER)


async def seen_now(opened: Opened) -> Observed:
    """The cluster as it is, with its holds. Raises PlanRefused where nobody can say what is held."""
    observed, holds = await asyncio.gather(observe(opened.cluster), read_holds(opened.cluster))
    must_be_known(holds)
    return replace(observed, holds=holds)


async def read_record(opened: Opened) -> Record:
    """The journal's end and the last applied inventory; empty where the lease node cannot be asked."""
    try:
        return await record(opened.cluster, JOURNAL_LINES)
    except NodeError:
        return Record((), None)


def proposal_of(
    deployment: Deployment, seen: Observed, plan: Plan, command: tuple[str, ...], entries: Iterable[Mapping[str, Any]]
) -> Proposal:
    """`entries`: the journal, for the times that steps took on this cluster before."""
    found = pool_dips(deployment, seen, plan)
    dips = tuple(Dip(each.pool, each.before, each.least, each.after, each.floor) for each in found)
    expected = {**expected_times(deployment, plan), **measured_times(plan, entries)}
    return Proposal(plan, command, dips, expected, plan.warnings)


def measured_times(plan: Plan, entries: Iterable[Mapping[str, Any]]) -> Mapping[str, Expected]:
    """By step id, the range of seconds that the journal tells of such steps: of the same subject, else of any."""
    took: dict[tuple[str, str], list[float]] = {}
    for entry in entries:
        if entry.get("event") != "step_done" or not isinstance(entry.get("took_s"), int | float):
            continue
        action, subject = str(entry.get("action")), str(entry.get("subject"))
        took.setdefault((action, subject), []).append(float(entry["took_s"]))
        took.setdefault((action, ""), []).append(float(entry["took_s"]))
    found: dict[str, Expected] = {}
    for step in plan.steps:
        seen = took.get((step.action.value, step.subject)) or took.get((step.action.value, ""))
        if seen and step.action in _MEASURABLE:
            found[step.id] = Expected(min(seen), max(seen), MEASURED)
    return found
