"""From what nodes sent to the commands of the fabric tests: rails, addresses and GIDs are the nodes' own."""

from __future__ import annotations

from pathlib import Path

from pdctl.health.expectations import Situation
from pdctl.health.fabric import plan_fabric
from pdctl.health.fabric_site import fabric_site
from pdctl.health.fleet import fleet_of
from pdctl.model.deployment import Deployment, Parallel
from pdctl.model.role import Role
from pdctl.sim.standins.host import Shape
from tests.unit import deployments
from tests.wire.health_hosts import envelopes

IDLE = {"n1": frozenset[int](), "n2": frozenset[int]()}


def pair() -> Deployment:
    shape = Parallel(dp=8, ep=True)
    return deployments.cluster(
        "pair",
        [deployments.node("n1", 1), deployments.node("n2", 2)],
        [deployments.pool("prefill", Role.PREFILL, shape), deployments.pool("decode", Role.DECODE, shape)],
        [deployments.slot("n1", range(8), "prefill"), deployments.slot("n2", range(8), "decode")],
    )


async def test_rails_meet_by_what_sysfs_says_and_a_rail_without_roce_v2_is_refused(tmp_path: Path) -> None:
    sent = await envelopes(tmp_path, 2, Shape("n2", 2, only_roce_v1=frozenset({3})))
    fleet = fleet_of(pair(), sent, situation=Situation(serving=IDLE))
    plan = plan_fabric(pair(), fabric_site(fleet))
    (sessions,) = plan.rounds
    assert len(sessions) == 7
    for session in sessions:
        networks = [nic.address.rpartition(".")[0] for nic in (session.client, session.server)]
        assert networks[0] == networks[1]
        assert session.client.rate_gbps == 400.0
        assert session.client.gpus == session.server.gpus
    (refused,) = plan.refused
    assert "has no RoCE v2 GID" in refused.why
    unasked = fleet_of(pair(), sent)
    assert plan_fabric(pair(), fabric_site(unasked)).rounds == ()  # nobody knows who serves: nothing is disturbed
