"""The chains of steps that bring one instance up or take it down; plans are made of these."""

from __future__ import annotations

from pdctl.model.deployment import Instance
from pdctl.plan.steps import REGISTRAR, Action, Step, step_id


def bring_up(
    instance: Instance,
    reason: str,
    *,
    start: bool,
    registrar_starts: bool,
    needs: tuple[str, ...] = (),
    after: tuple[str, ...] = (),
) -> tuple[Step, ...]:
    """start -> await ready -> canary -> register. `start` False adopts what runs (a loading engine too).

    The first step of the chain carries the reason.
    """
    node, name = instance.leader.node, instance.name
    steps: list[Step] = []
    if start:
        steps.append(Step(Action.START, name, node, reason, needs=needs, after=after))
        needs, after, reason = (step_id(Action.START, name),), (), ""
    steps.append(Step(Action.AWAIT_READY, name, node, reason, needs=needs, after=after))
    steps.append(Step(Action.PROVE, name, node, "", needs=(step_id(Action.AWAIT_READY, name),)))
    registered_by = (step_id(Action.START_REGISTRAR, REGISTRAR),) if registrar_starts else ()
    steps.append(Step(Action.REGISTER, name, node, "", needs=(step_id(Action.PROVE, name), *registered_by)))
    return tuple(steps)


def take_down(
    instance: str,
    node: str,
    reason: str,
    *,
    drain: bool,
    needs: tuple[str, ...] = (),
    after: tuple[str, ...] = (),
) -> tuple[Step, ...]:
    """fence -> drain -> stop. Without `drain` (an emergency, or nothing runs there) the engine is stopped at once."""
    steps = [Step(Action.FENCE, instance, node, reason, needs=needs, after=after)]
    gate = step_id(Action.FENCE, instance)
    if drain:
        steps.append(Step(Action.DRAIN, instance, node, "", needs=(gate,)))
        steps.append(Step(Action.STOP, instance, node, "", needs=(step_id(Action.DRAIN, instance),)))
    else:
        steps.append(Step(Action.STOP, instance, node, "", after=(gate,)))
    return tuple(steps)
