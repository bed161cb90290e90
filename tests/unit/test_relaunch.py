"""A launch that a node makes by itself is the one that the controller would have made for that generation."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from pdctl.engines.engine import render
from pdctl.engines.ports import launches_before_reuse
from pdctl.engines.relaunch import relaunch, template
from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment, Instance
from pdctl.model.role import EngineKind
from pdctl.model.unit import Restart, UnitSpec
from pdctl.supervisors.systemd_boot_on_node import relaunched
from pdctl.supervisors.unit_records import start_request
from tests.unit.deployments import every_cluster, mori_1p1d, wide_ep16

KINDS = [
    replace(built, engine=replace(built.engine, kind=kind))
    for built in every_cluster()
    for kind in (EngineKind.VLLM, EngineKind.SIMULATED)
]


def by_controller(deployment: Deployment, instance: Instance, generation: int) -> dict[str, object]:
    """The request of a start, as the controller makes it."""
    (process,) = render(deployment, instance, {instance.leader.node: generation}).processes
    spec = UnitSpec(
        process.labels, process.argv, process.env, Restart.NEVER, 90.0, address=process.address, ports=process.ports
    )
    return start_request(spec)


@pytest.mark.parametrize("deployment", KINDS, ids=lambda built: f"{built.cluster}-{built.engine.kind.value}")
def test_node_and_controller_agree_on_every_generation(deployment: Deployment) -> None:
    for instance in deployment.instances:
        if len(instance.parts) > 1:
            continue
        plan = asdict(relaunch(deployment, instance))
        kept = {**by_controller(deployment, instance, 1), "relaunch": plan}
        blocks = launches_before_reuse(deployment, deployment.nodes[instance.leader.node])
        for generation in (1, 2, 3, blocks, blocks + 1, 12345):
            by_node = relaunched(kept, generation)
            del by_node["relaunch"]
            assert by_node == by_controller(deployment, instance, generation)


def test_a_setting_that_looks_like_a_port_stays_as_it_is() -> None:
    built = mori_1p1d()
    first = render(built, built.instances[0], {"solo": 1}).ports.http
    pools = {name: replace(pool, args={**pool.args, "max-model-len": first}) for name, pool in built.pools.items()}
    plan = relaunch(replace(built, pools=pools), built.instances[0])
    assert (str(first),) in plan.argv
    assert (0,) in plan.argv


def test_the_generations_of_a_node_have_ports_of_their_own() -> None:
    built = mori_1p1d()
    kept = {**by_controller(built, built.instances[0], 1), "relaunch": asdict(relaunch(built, built.instances[0]))}
    seen: set[int] = set()
    for generation in range(1, launches_before_reuse(built, built.nodes["solo"]) + 1):
        ports = set(relaunched(kept, generation)["ports"])
        assert not ports & seen
        seen |= ports


def test_an_instance_of_several_nodes_cannot_start_by_itself() -> None:
    built = wide_ep16()
    wide = next(instance for instance in built.instances if len(instance.parts) > 1)
    with pytest.raises(PlanRefused, match="spans several nodes"):
        relaunch(built, wide)


@pytest.mark.parametrize(
    ("one", "other"), [("a 20000", "b 20000"), ("20001 x", "20042 x"), ("no number", "20000"), ("1", "2")]
)
def test_what_differs_in_more_than_ports_is_no_template(one: str, other: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        template(one, other, 20000, 20040)
