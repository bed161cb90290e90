"""How long each step of a plan should take, as an operator who is to agree to it wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pdctl.control.proposal import Expected
from pdctl.model.deployment import Deployment
from pdctl.plan.steps import Action, Plan
from pdctl.routers.facts import router_facts

BASIS: Final = "settings"
ACKNOWLEDGED_S: Final = 1.0
"""The registrar takes a new list up within a second (it looks at it every 0.05 s), and a member's last registration is
no older than that."""


def expected_times(deployment: Deployment, plan: Plan) -> Mapping[str, Expected]:
    """By step id, from the settings alone; steps that are over at once are not in it."""
    budgets, evict_s = deployment.budgets, router_facts(deployment).evict_s
    times = {
        Action.FENCE: Expected(max(0.0, evict_s - ACKNOWLEDGED_S), evict_s + ACKNOWLEDGED_S, BASIS),
        Action.DRAIN: Expected(budgets.settle_s, None, BASIS),
        Action.STOP: Expected(0.0, budgets.stop_s, BASIS),
        Action.AWAIT_READY: Expected(0.0, None, BASIS),
    }
    return {step.id: times[step.action] for step in plan.steps if step.action in times}
