"""Put back what this run fenced and did not stop: how a command that is taken back leaves the list of members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pdctl.control.steps.context import RunContext
from pdctl.model.observed import MembershipSeen
from pdctl.plan.steps import Step

RESTORE_S = 20.0
"""A registrar sends a listed member within a second or two; one that it withholds is not waited for any longer."""


async def restore(ctx: RunContext, names: Iterable[str]) -> tuple[str, ...]:
    """Make those of `names` members again that were members when this run fenced them, and that it did not stop.

    They were never relaunched, so they come back as they were: same generation, same addresses, without a canary.
    Returns their names.
    Raises NodeError's kinds where the list cannot be written, InstanceError where the registrar does not take it up.
    """
    back = {name: ctx.fenced[name] for name in names if name in ctx.fenced and name not in ctx.stopped}
    if not back:
        return ()

    def sent(seen: MembershipSeen) -> bool:
        told = {name: seen.members.get(name) for name in back}
        return all(
            found is not None and found.registered and found.generation == back[name].generation
            for name, found in told.items()
        )

    await ctx.members.put_all(back.values())
    await ctx.members.until(sent, f"registration of {', '.join(back)}", RESTORE_S)
    for name in back:
        del ctx.fenced[name]
    return tuple(back)


async def unfence(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """The step of a plan that takes another one back: `restore` of its subject alone."""
    back = await restore(ctx, (step.subject,))
    return {"member": True} if back else {"member": False, "why": "was no member, or is stopped"}
