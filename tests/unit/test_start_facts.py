"""A start tells an engine what was found of its node's fabric, and labels it with that."""

from __future__ import annotations

from typing import Any, cast

from pdctl.control.cluster import Cluster
from pdctl.control.steps.context import Generations, RunContext
from pdctl.control.steps.start import start
from pdctl.model.launch import FabricFacts, Rail
from pdctl.model.observed import Observed
from pdctl.model.unit import UnitSpec, UnitStatus
from pdctl.plan.steps import Action, Step
from pdctl.supervisors.fake import FakeNode, FakeSupervisor
from tests.unit.deployments import r1_2p3d

FOUND = FabricFacts((Rail("rdma7", 0), Rail("rdma3", 1)), gid_index=1, socket_interface="eth2")


class Remembering(FakeSupervisor):
    """Keeps what it was asked to start."""

    specs: list[UnitSpec]

    async def start(self, spec: UnitSpec, *, epoch: int) -> UnitStatus:
        self.specs = [*getattr(self, "specs", ()), spec]
        return await super().start(spec, epoch=epoch)


async def no_wait(seconds: float) -> None:
    return None


async def started(fabric: dict[str, FabricFacts]) -> UnitSpec:
    """The unit of the first instance of r1-2p3d, started on a node that says `fabric`."""
    deployment = r1_2p3d()
    nodes = {name: FakeNode(name, now=lambda: 0.0, sleep=no_wait) for name in deployment.nodes}
    engines = {name: Remembering(node, deployment.cluster) for name, node in nodes.items()}
    anything = cast(Any, None)
    cluster = Cluster(deployment, anything, anything, engines, anything, anything, anything, anything)
    views = {name: await engine.inspect() for name, engine in engines.items()}
    generations = Generations(cluster, views, 1)
    ctx = RunContext(
        cluster,
        Observed(views, {}),
        1,
        {"HF_TOKEN": "x"},
        anything,
        generations,
        lambda step, text: None,
        fabric=fabric,
    )
    instance = deployment.instances[0]
    await start(ctx, Step(Action.START, instance.name, instance.leader.node, ""))
    (spec,) = engines[instance.leader.node].specs
    return spec


async def test_what_was_found_is_told_and_labelled() -> None:
    node = r1_2p3d().instances[0].leader.node
    spec = await started({node: FOUND})
    assert spec.env["MORI_RDMA_DEVICES"] == "rdma7,rdma3"
    assert spec.env["GLOO_SOCKET_IFNAME"] == "eth2"
    assert spec.labels.facts == FOUND.digest


async def test_a_node_that_was_not_checked_is_told_nothing() -> None:
    spec = await started({})
    assert not any(name.startswith(("MORI_", "NCCL_", "GLOO_")) for name in spec.env)
    assert spec.labels.facts == ""
