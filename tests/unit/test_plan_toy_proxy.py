"""A router that never forgets a member (the toy proxy) stops before any engine; nothing is fenced behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdctl.control.up import refuse_fences
from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment
from pdctl.model.observed import NodeView, Observed
from pdctl.model.role import RouterKind, UnitKind
from pdctl.model.unit import Labels, UnitState, UnitStatus
from pdctl.plan.down import plan_down
from pdctl.plan.steps import Action, Plan, Step
from tests.unit.deployments import mori_1p1d


@pytest.fixture
def deployment() -> Deployment:
    made = mori_1p1d()
    return replace(made, router=replace(made.router, kind=RouterKind.TOY_PROXY))


def running(deployment: Deployment) -> Observed:
    node = deployment.router.node
    names = [(part.name, UnitKind.ENGINE) for instance in deployment.instances for part in instance.parts]
    names += [("router", UnitKind.ROUTER), ("registrar", UnitKind.REGISTRAR)]
    units = tuple(
        UnitStatus(Labels(deployment.cluster, name, number, "hash", kind), UnitState.RUNNING)
        for number, (name, kind) in enumerate(names, start=1)
    )
    return Observed({node: NodeView(node, "machine", "boot", len(units), 1, units)}, {})


def test_down_stops_the_router_first(deployment: Deployment) -> None:
    plan = plan_down(deployment, running(deployment), fenceable=False)
    fences = [step for step in plan.steps if step.action is Action.FENCE]
    assert len(fences) == 2
    assert all("stop_router:router" in step.needs for step in fences)
    stop = next(step for step in plan.steps if step.action is Action.STOP_ROUTER)
    assert stop.after == ()
    assert stop.needs == ()


def test_with_a_router_that_forgets_the_router_goes_last(deployment: Deployment) -> None:
    plan = plan_down(deployment, running(deployment))
    stop = next(step for step in plan.steps if step.action is Action.STOP_ROUTER)
    assert sorted(stop.after) == ["stop:solo.a.0", "stop:solo.b.0"]


def test_nothing_is_replaced_behind_a_router_that_never_forgets(deployment: Deployment) -> None:
    plan = Plan("up", (), (Step(Action.FENCE, "solo.a.0", "solo", "settings changed"),))
    with pytest.raises(PlanRefused, match="never forgets a member"):
        refuse_fences(deployment, plan)
    assert refuse_fences(mori_1p1d(), plan) is plan
