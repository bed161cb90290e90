"""Hold a slot, and take a hold away: one write to the lease node each, shared by those that wait for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pdctl.control.steps.context import RunContext
from pdctl.model.hold import Hold
from pdctl.plan.steps import Step


async def put_hold(ctx: RunContext, hold_of: Callable[[str], Hold], step: Step) -> Mapping[str, Any]:
    """Hold the slot, in place of what held it before. Raises PdctlError's kinds: whether it was written is unknown."""
    hold = hold_of(step.subject)
    before = ctx.holds.get(step.subject)
    await ctx.holds.put(hold)
    detail: dict[str, Any] = {"kind": hold.kind.value, "by": hold.by, "reason": hold.reason, "until": hold.until_s}
    return detail if before is None else {**detail, "instead_of": f"{before.kind.value} by {before.by}"}


async def take_hold(ctx: RunContext, step: Step, *, before: Mapping[str, Hold] | None = None) -> Mapping[str, Any]:
    """Take the hold on the slot away; with `before`, put back what held it then, if anything did."""
    old = (before or {}).get(step.subject)
    held = ctx.holds.get(step.subject)
    if old is not None:
        await ctx.holds.put(old)
    else:
        await ctx.holds.drop((step.subject,))
    return {} if held is None else {"was": f"{held.kind.value} by {held.by}", "reason": held.reason}
