"""The router on another node: new first, proven, then clients, then the old one; and its lease stays where it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.control.observe import services_apart
from pdctl.control.router_move import edited
from pdctl.control.up import UpOptions, decide
from pdctl.errors import PlanRefused, UsageError
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.model.deployment import Deployment
from pdctl.model.observed import Observed
from pdctl.model.unit import UnitState
from pdctl.plan.down import plan_down
from pdctl.plan.steps import REGISTRAR, ROUTER, Action, Plan, step_id
from pdctl.plan.up import plan_up
from pdctl.routers.metrics import RouterUse, parse_router_use
from tests.crash.world import DEPLOYMENT, INVENTORY
from tests.unit.deployments import r1_2p3d
from tests.unit.observations import Scene, ancestors, assert_executable, names, service, wanted

R1 = r1_2p3d()
OLD, NEW = "mi300x-01", "mi300x-02"
MOVED = replace(R1, router=replace(R1.router, node=NEW))


def seen(*, started: bool = False, state: UnitState = UnitState.RUNNING) -> Observed:
    """The cluster after the edit, while the old router lives; `started`: and the new one does too."""
    scene = Scene.converged(R1)
    if not started:
        scene.members = None
    else:
        for name in (ROUTER, REGISTRAR):
            scene.units[NEW][name] = service(R1, name)
    for name in (ROUTER, REGISTRAR):
        scene.state(name, state) if not started else None
    observed = scene.seen()
    nodes, elsewhere = services_apart(observed.nodes, NEW)
    return replace(observed, nodes=nodes, elsewhere=elsewhere)


def plan(observed: Observed, deployment: Deployment = MOVED) -> Plan:
    found = plan_up(deployment, wanted(deployment), observed)
    assert_executable(found)
    return found


def test_the_new_router_is_proven_with_every_engine_before_the_old_one_is_left() -> None:
    found = plan(seen())
    nodes = {step.id: step.node for step in found.steps}
    assert (nodes["start_router:router"], nodes["start_registrar:registrar"]) == (NEW, NEW)
    assert (nodes[f"stop_router:router@{OLD}"], nodes[f"stop_registrar:registrar@{OLD}"]) == (OLD, OLD)
    before = ancestors(found, f"quiet_router:router@{OLD}")
    assert {step_id(Action.REGISTER, name) for name in names(R1.instances)} <= before
    assert "prove_whole:cluster" in before
    assert f"quiet_router:router@{OLD}" in ancestors(found, f"stop_router:router@{OLD}")
    assert f"stop_router:router@{OLD}" in ancestors(found, f"stop_registrar:registrar@{OLD}")
    assert not {step.action for step in found.steps} & {Action.FENCE, Action.STOP}


def test_a_move_that_was_cut_off_goes_on_with_what_is_left() -> None:
    found = plan(seen(started=True))
    assert [step.action for step in found.steps] == [
        Action.QUIET_ROUTER,
        Action.STOP_ROUTER,
        Action.STOP_REGISTRAR,
    ]


def test_a_router_that_ended_elsewhere_is_left_alone() -> None:
    assert seen(state=UnitState.EXITED).elsewhere == ()


def test_a_router_elsewhere_whose_state_nobody_knows_may_serve() -> None:
    assert {unit.labels.instance for _, unit in seen(state=UnitState.UNKNOWN).elsewhere} == {ROUTER, REGISTRAR}


def test_no_engine_leaves_while_two_routers_may_choose_it() -> None:
    observed = seen()
    unit = observed.units[R1.instances[0].name]
    view = observed.nodes[R1.instances[0].leader.node]
    changed = tuple(
        replace(each, labels=replace(each.labels, spec_hash="old")) if each == unit else each for each in view.units
    )
    nodes = {**observed.nodes, view.node: replace(view, units=changed)}
    with pytest.raises(PlanRefused, match=f"a router still serves on {OLD}"):
        decide(MOVED, UpOptions(), replace(observed, nodes=nodes), None)


def test_down_stops_the_old_one_too() -> None:
    found = plan_down(MOVED, seen())
    assert {f"stop_router:router@{OLD}", f"stop_registrar:registrar@{OLD}"} <= {step.id for step in found.steps}


def test_one_word_of_the_inventory_changes() -> None:
    text = INVENTORY.replace("cluster: crash", "cluster: crash\nlease_node: n1  # stays")
    moved = edited(place(parse(text.encode(), Path("/inventories/crash.yaml"))), text, "n2")
    assert moved == text.replace("node: n1, port", "node: n2, port")


def test_where_it_is_already_nothing_is_written() -> None:
    assert edited(DEPLOYMENT, INVENTORY, "n1") is None


def test_a_lease_that_would_move_along_is_in_the_way() -> None:
    with pytest.raises(PlanRefused, match="lease, journal and holds lie on the router's node n1") as refused:
        edited(DEPLOYMENT, INVENTORY, "n2")
    assert "lease_node: n1" in refused.value.hint


def test_a_node_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="n9 is not in the inventory"):
        edited(DEPLOYMENT, INVENTORY, "n9")


def test_the_routers_use_is_what_it_was_given_and_what_it_holds() -> None:
    text = """\
# TYPE vllm_router_pd_requests_total counter
vllm_router_pd_requests_total{route="/v1/completions"} 7
vllm_router_pd_active_decode_requests{worker="http://10.1.0.1:20000"} 2
vllm_router_pd_prefill_occupancy{worker="http://10.1.0.2:20000"} 1
"""
    assert parse_router_use(text) == RouterUse(7.0, 3.0)
    assert parse_router_use("") == RouterUse(0.0, 0.0)
    assert parse_router_use("<html>") is None
