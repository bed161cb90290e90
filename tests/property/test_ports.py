"""The port plan: no launch ever meets another one's ports, until the counter has wrapped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdctl.engines.ports import (
    END_PORT,
    FIRST_PORT,
    RPC_PORTS,
    block_size,
    launches_before_reuse,
    plan_ports,
    ports_from_http,
    reserved_ports,
    usable_blocks,
)
from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment, Instance, Parallel
from pdctl.model.launch import Ports
from pdctl.model.role import Role
from tests.unit.deployments import cluster, mori_1p1d, node, pool, slot


@st.composite
def deployments(draw: st.DrawFn) -> Deployment:
    """One to six nodes, some of which share a machine; a router port in or out of the engines' range."""
    machines = draw(st.lists(st.sampled_from(["own", "box", "pair"]), min_size=1, max_size=6))
    nodes = []
    for number, machine in enumerate(machines, 1):
        gpus = draw(st.integers(1, 16))
        shared = None if machine == "own" else machine
        address = "127.0.0.1" if shared == "box" else None
        nodes.append(node(f"n{number}", number, gpus, host_id=shared, address=address))
    built = cluster(
        "ports",
        nodes,
        [pool("prefill", Role.PREFILL, Parallel(tp=1))],
        [slot(spec.name, range(spec.gpus), "prefill") for spec in nodes],
    )
    return replace(built, router=replace(built.router, port=draw(st.integers(1024, 65000))))


def whole_node(deployment: Deployment, name: str) -> Instance:
    """An instance that uses every GPU of the node: the most ranks that can be asked for there."""
    return next(
        replace(found, parts=(replace(found.leader, gpus=tuple(range(deployment.nodes[name].gpus))),))
        for found in deployment.instances
        if found.leader.node == name
    )


def roles(ports: Ports) -> list[range]:
    return [
        range(ports.http, ports.http + 1),
        range(ports.rpc, ports.rpc + RPC_PORTS),
        range(ports.handshake, ports.handshake + ports.ranks),
        range(ports.notify, ports.notify + ports.ranks),
        range(ports.side_channel, ports.side_channel + ports.ranks),
    ]


@given(deployments(), st.data())
def test_launches_on_one_machine_never_meet(deployment: Deployment, data: st.DataObject) -> None:
    names = st.sampled_from(sorted(deployment.nodes))
    one, other = data.draw(names), data.draw(names)
    first = data.draw(st.integers(1, 5000))
    within = launches_before_reuse(deployment, deployment.nodes[other])
    second = data.draw(
        st.integers(first + 1, first + within - 1) if one == other and within > 1 else st.integers(1, 5000)
    )
    same_launch = one == other and within == 1
    a = plan_ports(deployment, whole_node(deployment, one), first)
    b = plan_ports(deployment, whole_node(deployment, other), second)
    machine = deployment.nodes[one].host_id
    if not same_launch and (one == other or (machine is not None and machine == deployment.nodes[other].host_id)):
        assert set(a.listening()).isdisjoint(b.listening())


@given(deployments(), st.integers(1, 10_000))
def test_every_port_is_in_range_used_once_and_not_the_routers(deployment: Deployment, generation: int) -> None:
    for name in deployment.nodes:
        ports = plan_ports(deployment, whole_node(deployment, name), generation)
        used = [port for role in roles(ports) for port in role]
        assert len(used) == len(set(used))
        assert set(used) <= set(ports.listening())
        assert ports.block[0] >= FIRST_PORT
        assert ports.block[1] < END_PORT
        assert reserved_ports(deployment).isdisjoint(ports.listening())


@given(deployments(), st.integers(1, 10_000))
def test_a_running_engines_ports_follow_from_its_endpoint(deployment: Deployment, generation: int) -> None:
    for name in deployment.nodes:
        instance = whole_node(deployment, name)
        planned = plan_ports(deployment, instance, generation)
        edited = replace(deployment, router=replace(deployment.router, port=deployment.router.port ^ 1))
        assert ports_from_http(edited, instance, planned.http) == planned


@given(deployments(), st.integers(1, 10_000))
def test_the_plan_wraps_after_as_many_launches_as_it_says(deployment: Deployment, generation: int) -> None:
    for spec in deployment.nodes.values():
        instance = whole_node(deployment, spec.name)
        later = generation + launches_before_reuse(deployment, spec)
        assert plan_ports(deployment, instance, generation) == plan_ports(deployment, instance, later)


@given(st.lists(st.tuples(st.integers(1, 16), st.booleans()), min_size=2, max_size=6))
def test_entries_of_one_machine_never_share_a_port(entries: list[tuple[int, bool]]) -> None:
    """All blocks of all entries at once; `True` shares the address as well as the machine."""
    nodes = [
        node(f"n{number}", number, gpus, host_id="box", address="127.0.0.1" if same else None)
        for number, (gpus, same) in enumerate(entries, 1)
    ]
    shared = cluster("shared", nodes, [pool("p", Role.PREFILL, Parallel())], [slot("n1", [0], "p")])
    used = [
        port
        for spec in nodes
        for first in usable_blocks(shared, spec)
        for port in range(first, first + block_size(spec))
    ]
    assert len(used) == len(set(used))


def test_a_node_of_eight_gpus_has_398_launches_beside_a_router_on_30000() -> None:
    deployment = mori_1p1d()
    assert launches_before_reuse(deployment, deployment.nodes["solo"]) == 398


def test_port_arguments_of_the_router_are_left_out_too() -> None:
    deployment = mori_1p1d()
    router = replace(deployment.router, args={"prometheus_port": 20001, "log-level": "info", "policy": "random"})
    assert 20001 in reserved_ports(replace(deployment, router=router))
    moved = plan_ports(replace(deployment, router=router), deployment.instances[0], 1)
    assert moved.block[0] == plan_ports(deployment, deployment.instances[0], 2).block[0]


def test_too_many_entries_on_one_machine_are_refused() -> None:
    nodes = [node(f"n{number}", number % 250, host_id="box") for number in range(500)]
    crowd = cluster("crowd", nodes, [pool("p", Role.PREFILL, Parallel())], [slot("n0", [0], "p")])
    with pytest.raises(PlanRefused, match="500 nodes share"):
        plan_ports(crowd, crowd.instances[0], 1)


def test_generations_count_from_one() -> None:
    deployment = mori_1p1d()
    with pytest.raises(ValueError, match="from 1"):
        plan_ports(deployment, deployment.instances[0], 0)
