"""A router on another node than before: the new one first, proven; then the clients; then the old one goes.

Both routers know all engines meanwhile, each by its own registrar, so that nothing is lost by whom a client asks.
"""

from __future__ import annotations

from collections.abc import Iterable

from pdctl.errors import PlanRefused
from pdctl.model.observed import Observed
from pdctl.model.role import UnitKind
from pdctl.plan.steps import CLUSTER, ELSEWHERE, REGISTRAR, ROUTER, Action, Change, ChangeKind, Plan, Step, step_id


def refuse_two_routers(observed: Observed, plan: Plan) -> None:
    """Raises PlanRefused where an engine would leave while a router elsewhere may still choose it: only the list of the
    router that the inventory has is written."""
    fences = [step.subject for step in plan.steps if step.action is Action.FENCE]
    routers = [node for node, unit in observed.elsewhere if unit.labels.kind is UnitKind.ROUTER]
    if fences and routers:
        raise PlanRefused(
            f"a router still serves on {routers[0]}, and it would go on choosing {fences[0]} after that is gone",
            hint="let the router's move end first, in a change of its own: `pdctl up`, with nothing else edited",
        )


def leave_old_router(observed: Observed, steps: Iterable[Step]) -> tuple[list[Change], list[Step]]:
    """What ends the routers and registrars that live where the inventory does not have them, after the new one is
    proven, if it starts in this run."""
    proof = step_id(Action.PROVE_WHOLE, CLUSTER)
    gate = (proof,) if any(step.id == proof for step in steps) else ()
    changes: list[Change] = []
    made: list[Step] = []
    for node in dict.fromkeys(node for node, _ in observed.elsewhere):
        names = {unit.labels.instance for at, unit in observed.elsewhere if at == node}
        needs = gate
        for name, action in ((ROUTER, Action.STOP_ROUTER), (REGISTRAR, Action.STOP_REGISTRAR)):
            if name not in names:
                continue
            subject = f"{name}{ELSEWHERE}{node}"
            changes.append(Change(ChangeKind.STOP, subject, node, "the inventory has it on another node"))
            if name == ROUTER:
                made.append(Step(Action.QUIET_ROUTER, subject, node, "clients move to the new one", needs=needs))
                needs = (made[-1].id,)
            made.append(Step(action, subject, node, "", needs=needs))
            needs = (made[-1].id,)
    return changes, made
