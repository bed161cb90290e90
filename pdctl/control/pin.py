"""`pin`, and the end of a record of holds that nobody can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pdctl.control.execute import Emit, Tally
from pdctl.control.held_slots import whole_slots
from pdctl.control.journal import Session
from pdctl.control.lease import Applied
from pdctl.control.opened import Opened
from pdctl.control.run import Run
from pdctl.control.steps.context import RunContext
from pdctl.control.steps.hold import put_hold
from pdctl.inventory.select import select
from pdctl.model.hold import Hold
from pdctl.model.observed import Observed, Trouble
from pdctl.plan.pin import plan_pin
from pdctl.plan.steps import Action, Plan, Step


async def pin(opened: Opened, selectors: tuple[str, ...], hold: Hold, session: Session) -> int:
    """Pin the slots: they serve, and are not moved to another pool until somebody takes that away.

    `hold` has the reason and the end; its slot is filled in. Raises PlanRefused where one is held otherwise.
    """
    deployment = opened.deployment
    slots = whole_slots(select(deployment, selectors))

    def make_plan(observed: Observed, applied: Applied | None, refused: Mapping[str, Trouble]) -> Plan:
        return plan_pin(deployment, observed, slots, hold)

    run = Run(
        opened.cluster,
        "pin",
        make_plan,
        session,
        needs_secrets=False,
        own_steps=lambda ctx: {Action.HOLD: partial(put_hold, ctx, lambda slot: replace(hold, slot=slot))},
    )
    return await run.go()


async def forget_holds(opened: Opened, session: Session) -> int:
    """Begin a new record of holds, whatever the old one says or does not: the remedy for one that is damaged."""
    node = opened.deployment.lease_node
    step = Step(Action.RELEASE, "all", node, "the record of holds begins anew")

    def make_plan(observed: Observed, applied: Applied | None, refused: Mapping[str, Trouble]) -> Plan:
        return Plan("undrain", (), (step,))

    async def forget(ctx: RunContext, step: Step) -> Mapping[str, Any]:
        await ctx.holds.forget()
        return {"forgotten": sorted(ctx.observed.holds.standing)}

    run = Run(
        opened.cluster,
        "undrain",
        make_plan,
        session,
        needs_secrets=False,
        honours_holds=False,
        own_steps=lambda ctx: {Action.RELEASE: partial(forget, ctx)},
        afterwards=_forgotten,
    )
    return await run.go()


async def _forgotten(ctx: RunContext, plan: Plan, tally: Tally, emit: Emit) -> str:
    return "" if tally.exit_codes else "nothing is held any more; `pdctl up` brings back what was"
