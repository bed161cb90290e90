"""T2 on request: what was collected becomes tests of the rails, and their results findings beside the others."""

from __future__ import annotations

from typing import Any, cast

from pdctl.control.check_deeper import Deeper, check_deeper
from pdctl.control.cluster import Cluster
from pdctl.control.fabric_check import FabricLimits
from pdctl.health.check import Fleet
from pdctl.health.expectations import Situation
from pdctl.health.finding import Finding, Verdict
from pdctl.health.fleet import fleet_of
from pdctl.health.report import Report
from pdctl.model.deployment import Deployment, Parallel
from pdctl.model.role import Role
from pdctl.sim.standins.host import Shape
from pdctl.ssh.fake import Command, FakeShell, FakeShells
from pdctl.ssh.ports import Completed
from tests.unit import deployments
from tests.unit.health_nodes import node

PINGED = b"3 packets transmitted, 3 received, 0% packet loss, time 402ms\n"
STOOD = b"8192000 bytes in 0.01 seconds = 6553.60 Mbit/sec\n1000 iters in 0.01 seconds = 10.00 usec/iter\n"
LATENCY = b"""\
 #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]
 2       1000          1.90           9.05         2.10               2.12           0.10
"""
WRITTEN = """ #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]
 65536      5000             {0}             {0}                 0.747823
"""


class NoWait:
    def monotonic(self) -> float:
        return 0.0

    def time(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        return None


def pair() -> Deployment:
    shape = Parallel(dp=8, ep=True)
    return deployments.cluster(
        "pair",
        [deployments.node("n1", 1), deployments.node("n2", 2)],
        [deployments.pool("prefill", Role.PREFILL, shape), deployments.pool("decode", Role.DECODE, shape)],
        [deployments.slot("n1", range(8), "prefill"), deployments.slot("n2", range(8), "decode")],
    )


def tools(name: str) -> FakeShell:
    """Rail 5 has no RDMA connection, rail 2 is slow; everything else is well."""
    shell = FakeShell(name)
    shell.answer(["timeout"])
    shell.answer(["ping"], stdout=PINGED)

    def pingpong(command: Command) -> Completed:
        if "mlx5_5" in command.argv:
            return Completed(1, b"", b"Failed status transport retry counter exceeded (12) for wr_id 2\n")
        return Completed(0, STOOD, b"")

    def write(command: Command) -> Completed:
        return Completed(0, WRITTEN.format("180.50" if "mlx5_2" in command.argv else "392.18").encode(), b"")

    shell.answer(["ibv_rc_pingpong"], reply=pingpong)
    shell.answer(["ib_write_lat"], stdout=LATENCY)
    shell.answer(["ib_write_bw"], reply=write)
    return shell


async def run(shells: FakeShells, fleet: Fleet, said: list[str]) -> Report:
    anything = cast(Any, None)
    cluster = Cluster(pair(), shells, FakeShell(), {}, anything, anything, anything, NoWait())
    deeper = Deeper(fabric=True, limits=FabricLimits(attempts=1))
    return await check_deeper(cluster, fleet, deeper, tested=lambda result, done, total: said.append(f"{done}/{total}"))


def fabric(report: Report) -> set[tuple[str, str, str]]:
    def key(each: Finding) -> tuple[str, str, str]:
        return each.check, each.subject.node, each.subject.device

    return {key(each) for each in report.findings if each.verdict is Verdict.FAIL}


async def test_a_dead_and_a_slow_rail_are_found_at_both_ends_and_nothing_else() -> None:
    sent = {"n1": node(Shape("n1", 1)), "n2": node(Shape("n2", 2))}
    idle = Situation(serving={"n1": frozenset(), "n2": frozenset()})
    shells, said = FakeShells({name: tools(name) for name in sent}), list[str]()
    report = await run(shells, fleet_of(pair(), sent, situation=idle), said)
    assert fabric(report) == {
        (check, name, device)
        for name in sent
        for check, device in (("fabric.rc_pingpong", "mlx5_5"), ("fabric.write_bw", "mlx5_2"))
    }
    assert said == [f"{done}/8" for done in range(1, 9)]
    assert {slot.slot for slot in report.slots if not slot.may_serve} == {"n1.all", "n2.all"}
    server = next(each for each in shells.shell("n2").commands if each.argv[0] == "timeout")
    assert "ibv_rc_pingpong" in server.argv


async def test_while_a_node_serves_none_of_its_rails_is_touched() -> None:
    sent = {"n1": node(Shape("n1", 1)), "n2": node(Shape("n2", 2))}
    serving = Situation(serving={"n1": frozenset(range(8)), "n2": frozenset()})
    shells = FakeShells({name: tools(name) for name in sent})
    report = await run(shells, fleet_of(pair(), sent, situation=serving), [])
    assert shells.shell("n1").commands == shells.shell("n2").commands == []
    untested = [each for each in report.findings if each.check == "fabric.untested"]
    assert len(untested) == 8
    assert all("used by an engine that serves" in each.why and not each.blocks for each in untested)
