"""The fabric plan: only pairs that KV moves between, nothing twice at once, never a member's NIC; and who is named."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from pdctl.health.check import Fleet
from pdctl.health.fabric import (
    FabricNic,
    FabricPlan,
    FabricSite,
    Session,
    ping_argv,
    pingpong_argv,
    plan_fabric,
    write_bw_argv,
)
from pdctl.health.fabric_verdict import Broken, Ping, SessionResult, fabric_checks, least_gbps, ping
from pdctl.health.finding import Finding, Severity, Verdict
from pdctl.health.judge import judge
from pdctl.health.parse.fabric_tests import Bandwidth, Pingpong
from pdctl.health.registry import Registry
from pdctl.model.check_policy import Thresholds
from pdctl.model.deployment import Deployment
from pdctl.model.reading import Known, Unknown
from tests.unit.deployments import every_cluster, gpt_oss_8p4d, mori_1p1d, r1_2p3d, standard_2xtp4
from tests.unit.health_fleet import fleet


def nics(deployment: Deployment, rate_gbps: float = 400.0) -> dict[str, tuple[FabricNic, ...]]:
    """One NIC per GPU on every node, rail i on 10.<i>.0.<node>."""
    return {
        name: tuple(
            FabricNic(name, f"mlx5_{rail}", rail, f"eth{rail}", f"10.{rail}.0.{number}", 3, rate_gbps, (rail,))
            for rail in range(spec.gpus)
        )
        for number, (name, spec) in enumerate(deployment.nodes.items(), 1)
    }


def sessions(plan: FabricPlan) -> list[Session]:
    return [session for each in plan.rounds for session in each]


@pytest.mark.parametrize("deployment", every_cluster(), ids=lambda each: each.cluster)
def test_no_nic_is_used_twice_at_once_and_no_host_more_than_eight_times(deployment: Deployment) -> None:
    plan = plan_fabric(deployment, FabricSite(nics(deployment)))
    for each in plan.rounds:
        ends = [nic for session in each for nic in (session.client, session.server)]
        assert max(Counter(nic.name for nic in ends).values()) == 1
        assert max(Counter(nic.node for nic in ends).values()) <= 8
    names = [session.name for session in sessions(plan)]
    assert len(names) == len(set(names))


def test_prefill_meets_decode_on_the_same_rail_and_nobody_else() -> None:
    deployment = r1_2p3d()
    plan = plan_fabric(deployment, FabricSite(nics(deployment)))
    pairs = {(session.client.node, session.server.node) for session in sessions(plan)}
    prefills, decodes = ("mi300x-01", "mi300x-02"), ("mi300x-03", "mi300x-04", "mi300x-05")
    assert pairs == set(itertools.product(prefills, decodes))
    assert all(session.client.rail == session.server.rail for session in sessions(plan))
    assert len(sessions(plan)) == 6 * 8
    assert len(plan.rounds) == 3  # a decode host meets two prefills, a prefill host three decodes


def test_small_engines_use_the_rails_of_their_own_gpus() -> None:
    deployment = gpt_oss_8p4d()
    plan = plan_fabric(deployment, FabricSite(nics(deployment)))
    rails = {(session.client.rail, session.server.rail) for session in sessions(plan)}
    assert rails == set(itertools.product(range(8), range(8)))  # eight of one GPU with four of two GPUs: all meet


def test_what_needs_no_fabric_is_not_tested() -> None:
    for deployment in (mori_1p1d(), standard_2xtp4()):
        assert plan_fabric(deployment, FabricSite(nics(deployment))) == FabricPlan(())


def test_a_members_nic_is_refused_and_its_idle_neighbours_are_not() -> None:
    deployment = gpt_oss_8p4d()
    site = FabricSite(nics(deployment), serving={"mi355x-01": frozenset({0, 1})})
    plan = plan_fabric(deployment, site)
    assert {session.client.rail for session in sessions(plan)} == set(range(2, 8))
    assert {each.session.client.rail for each in plan.refused} == {0, 1}
    assert "used by an engine that serves" in plan.refused[0].why


def test_a_nic_of_nobody_knows_whose_gpu_is_refused_while_anything_serves_there() -> None:
    deployment = r1_2p3d()
    loose = {name: tuple(replace(nic, gpus=()) for nic in each) for name, each in nics(deployment).items()}
    plan = plan_fabric(deployment, FabricSite(loose, serving={"mi300x-01": frozenset({0})}))
    assert {session.client.node for session in sessions(plan)} == {"mi300x-02"}


def test_a_nic_without_address_or_gid_is_refused_with_that_reason() -> None:
    deployment = r1_2p3d()
    found = nics(deployment)
    found["mi300x-01"] = (replace(found["mi300x-01"][0], address=""), *found["mi300x-01"][1:])
    found["mi300x-02"] = (replace(found["mi300x-02"][0], gid_index=None), *found["mi300x-02"][1:])
    refused = plan_fabric(deployment, FabricSite(found)).refused
    assert {each.why for each in refused} == {
        "mi300x-01/mlx5_0 has no IPv4 address that is known",
        "mi300x-02/mlx5_0 has no RoCE v2 GID that is known",
    }


def test_scope_limits_the_pairs() -> None:
    deployment = r1_2p3d()
    plan = plan_fabric(deployment, FabricSite(nics(deployment)), scope=frozenset({"mi300x-04.all"}))
    assert {session.server.node for session in sessions(plan)} == {"mi300x-04"}


def test_ports_are_free_and_each_servers_own() -> None:
    deployment = r1_2p3d()
    site = FabricSite(nics(deployment), listening={"mi300x-03": frozenset({18515, 18517})})
    ports = [port for each in sessions(plan_fabric(deployment, site)) if each.server.node == "mi300x-03"
             for port in each.ports]  # fmt: skip
    assert len(ports) == len(set(ports))
    assert not {18515, 18517} & set(ports)
    assert all(1024 < port < 20000 for port in ports)


def test_commands_name_device_gid_and_the_rails_own_addresses() -> None:
    client = FabricNic("p", "mlx5_2", 2, "eth2", "10.2.0.1", 3, 400.0, (2,))
    server = FabricNic("d", "rdma7", 2, "eth9", "10.2.0.2", 1, 400.0, (2,))
    session = Session(client, server, (18515, 18516, 18517))
    assert ping_argv(session)[-3:] == ("-I", "10.2.0.1", "10.2.0.2")
    assert " ".join(pingpong_argv(session, server=True)) == "ibv_rc_pingpong -d rdma7 -i 1 -g 1 -p 18515"
    assert " ".join(pingpong_argv(session, server=False)) == "ibv_rc_pingpong -d mlx5_2 -i 1 -g 3 -p 18515 10.2.0.2"
    assert " ".join(write_bw_argv(session, server=False)) == (
        "ib_write_bw -d mlx5_2 -i 1 -x 3 -p 18517 -F --report_gbits -s 65536 -D 3 10.2.0.2"
    )


GOOD_PING = Known(Ping(3, 3), "ping")
GOOD_PINGPONG = Known(Pingpong(8192000, 9000.0, 7.3), "ibv_rc_pingpong")


def result(
    session: Session, gbps: float | None = 390.0, *, echoes: int = 3, stands: bool = True, latency_us: float = 2.1
) -> SessionResult:
    return SessionResult(
        session,
        Known(Ping(3, echoes), "ping"),
        GOOD_PINGPONG if stands else Broken("Failed status transport retry counter exceeded (12)"),
        Known(latency_us, "ib_write_lat"),
        Unknown("no result") if gbps is None else Known(Bandwidth(65536, gbps, gbps), "ib_write_bw"),
    )


def judged(deployment: Deployment, results: list[SessionResult], plan: FabricPlan) -> list[Finding]:
    site: Fleet = fleet({name: {} for name in deployment.nodes}, deployment=deployment)
    report = judge(site, Registry(fleet=fabric_checks(results, plan.refused)))
    return list(report.problems)


def test_a_nic_that_fails_with_all_its_peers_is_named_alone() -> None:
    deployment = r1_2p3d()
    plan = plan_fabric(deployment, FabricSite(nics(deployment)))
    bad = "mi300x-04/mlx5_5"
    results = [result(each, stands=each.server.name != bad) for each in sessions(plan)]
    problems = judged(deployment, results, plan)
    assert {(finding.check, finding.subject.node, finding.subject.device) for finding in problems} == {
        ("fabric.rc_pingpong", "mi300x-04", "mlx5_5")
    }
    assert all(finding.blocks and finding.slots == ("mi300x-04.all",) for finding in problems)


def test_where_the_guilty_end_cannot_be_told_both_are_named() -> None:
    deployment = r1_2p3d()
    plan = plan_fabric(deployment, FabricSite(nics(deployment)), scope=frozenset({"mi300x-04.all"}))
    only = [each for each in sessions(plan) if each.client.node == "mi300x-01" and each.client.rail == 0]
    problems = judged(deployment, [result(only[0], echoes=0)], plan)
    assert {finding.subject.node for finding in problems} == {"mi300x-01", "mi300x-04"}
    assert {finding.check for finding in problems} == {"fabric.ping"}


def test_slow_writes_warn_in_proportion_to_the_ports_rate() -> None:
    deployment = r1_2p3d()
    fast = plan_fabric(deployment, FabricSite(nics(deployment)))
    slow = plan_fabric(deployment, FabricSite(nics(deployment, 200.0)))
    assert least_gbps(sessions(fast)[0], Thresholds()) == 300.0
    assert least_gbps(sessions(slow)[0], Thresholds()) == 150.0
    problems = judged(deployment, [result(sessions(fast)[0], 180.5)], fast)
    assert {(finding.check, finding.severity) for finding in problems} == {("fabric.write_bw", Severity.WARN)}
    assert judged(deployment, [result(sessions(slow)[0], 180.5)], slow) == []


def test_a_slow_answer_warns() -> None:
    deployment = r1_2p3d()
    plan = plan_fabric(deployment, FabricSite(nics(deployment)))
    problems = judged(deployment, [result(sessions(plan)[0], latency_us=11.0)], plan)
    assert {(finding.check, finding.severity) for finding in problems} == {("fabric.write_lat", Severity.WARN)}
    assert problems[0].expected == "<= 10 us"


def test_no_result_is_unknown_and_no_bandwidth() -> None:
    deployment = r1_2p3d()
    plan = plan_fabric(deployment, FabricSite(nics(deployment)))
    (finding,) = judged(deployment, [result(sessions(plan)[0], None)], plan)
    assert (finding.check, finding.verdict) == ("fabric.write_bw", Verdict.UNKNOWN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 packets transmitted, 3 received, 0% packet loss, time 402ms", Known(Ping(3, 3), "ping")),
        ("3 packets transmitted, 0 packets received, 100% packet loss", Known(Ping(3, 0), "ping")),
        ("3 packets transmitted, 1 received, +2 errors, 66% packet loss", Known(Ping(3, 1), "ping")),
        ("ping: bind: Cannot assign requested address", Unknown("ping: bind: Cannot assign requested address", "ping")),
        ("", Unknown("it printed nothing", "ping")),
    ],
)
def test_ping_statistics(text: str, expected: object) -> None:
    assert ping(text) == expected
