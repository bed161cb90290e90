"""The loop of T2 on this machine, with stand-ins for the tools that really connect to each other."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pdctl.control.clock import SystemClock
from pdctl.control.fabric_check import FabricLimits, run_fabric
from pdctl.errors import ConnectionLost
from pdctl.health.fabric import FabricNic, FabricPlan, Session
from pdctl.health.fabric_verdict import Broken, SessionResult
from pdctl.model.reading import Known, Unknown
from pdctl.ssh.fake import FakeShell, FakeShells
from pdctl.ssh.local import LocalShell
from tests.waiting import free_port, wait_until

TOOL = """#!{python} -S
import os, socket, sys, time
name, argv = os.path.basename(sys.argv[0]), sys.argv[1:]
open(os.path.join(os.path.dirname(sys.argv[0]), "pids"), "a").write("%d\\n" % os.getpid())
if name == "ping":
    print("3 packets transmitted, 3 received, 0% packet loss, time 402ms")
    sys.exit(0)
device, port = argv[argv.index("-d") + 1], int(argv[argv.index("-p") + 1])
client = not argv[-1].isdigit()
if client:
    try:
        peer = socket.create_connection((argv[-1], port), 1)
    except OSError:
        sys.stderr.write("Couldn't connect to %s:%d\\n" % (argv[-1], port))
        sys.exit(1)
    if device == "deaf":
        time.sleep(60)
    peer.recv(1)
else:
    if device == "locked":
        sys.stderr.write("Couldn't allocate MR: Cannot allocate memory\\n")
        sys.exit(1)
    if device == "broken":
        sys.stderr.write("Couldn't get context for broken\\n")
        sys.exit(1)
    time.sleep(0.2)
    listener = socket.create_server((argv[argv.index("-d") + 1] and "127.0.0.1", port))
    peer, _ = listener.accept()
    if device == "mute":
        time.sleep(60)
    peer.send(b"x")
if name == "ibv_rc_pingpong":
    print("8192000 bytes in 0.01 seconds = 6553.60 Mbit/sec\\n1000 iters in 0.01 seconds = 10.00 usec/iter")
elif name == "ib_write_lat":
    print(" #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]")
    print(" 2       1000          1.90           9.05         2.10               2.12           0.10")
else:
    print(" #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]")
    print(" 65536      5000             394.55             392.18                 0.747823")
"""


class LocalShells:
    """Every node is this machine."""

    def shell(self, node: str) -> LocalShell:
        return LocalShell(node)

    async def close(self) -> None:
        return None


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ping", "ibv_rc_pingpong", "ib_write_lat", "ib_write_bw"):
        path = tmp_path / name
        path.write_text(TOOL.format(python=sys.executable))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def session(client: str = "mlx5_0", server: str = "mlx5_0") -> Session:
    return Session(
        FabricNic("p", client, 0, "eth0", "127.0.0.1", 3, 400.0, (0,)),
        FabricNic("d", server, 0, "eth0", "127.0.0.1", 3, 400.0, (0,)),
        (free_port(), free_port(), free_port()),
    )


async def run(plan: FabricPlan, limits: FabricLimits) -> list[SessionResult]:
    return [result async for result in run_fabric(plan, LocalShells(), SystemClock(), limits)]


def alive(tools: Path) -> list[int]:
    """Stand-ins that still run."""
    pids = {int(line) for line in (tools / "pids").read_text().split()}
    return [pid for pid in pids if Path(f"/proc/{pid}/stat").exists() and not _zombie(pid)]


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_both_ends_meet_and_their_figures_come_back(tools: Path) -> None:
    (result,) = await run(FabricPlan(((session(),),)), FabricLimits())
    assert isinstance(result.pingpong, Known) and result.pingpong.value.usec_per_iteration == 10.0
    assert result.latency == Known(2.1, "ib_write_lat")
    assert isinstance(result.bandwidth, Known) and result.bandwidth.value.average_gbps == 392.18
    await wait_until(lambda: not alive(tools), 5.0, what="stand-ins are still there")


async def test_a_server_that_cannot_open_its_device_is_a_failure_with_its_own_words(tools: Path) -> None:
    (result,) = await run(FabricPlan(((session(server="broken"),),)), FabricLimits())
    assert result.pingpong == Broken("Couldn't get context for broken", "client")
    assert isinstance(result.bandwidth, Unknown)


async def test_a_login_that_may_not_lock_memory_proves_nothing_about_the_fabric(tools: Path) -> None:
    (result,) = await run(FabricPlan(((session(server="locked"),),)), FabricLimits())
    assert isinstance(result.pingpong, Unknown)
    assert "the login may not run it on the server" in result.pingpong.reason


@pytest.mark.parametrize(("client", "server"), [("mlx5_0", "mute"), ("deaf", "mlx5_0")])
async def test_a_test_that_hangs_is_ended_at_its_deadline_and_nothing_is_left(
    tools: Path, client: str, server: str
) -> None:
    (result,) = await run(FabricPlan(((session(client, server),),)), FabricLimits(test_s=1.0))
    assert isinstance(result.pingpong, Broken)
    await wait_until(lambda: not alive(tools), 5.0, what="stand-ins are still there")


async def test_a_lost_node_is_unknown_and_the_others_go_on() -> None:
    lost, fine = FakeShell("p"), FakeShell("q")
    lost.answer(["ping"], error=ConnectionLost("p", "the connection was lost"))
    fine.answer(["ping"], stdout=b"3 packets transmitted, 3 received, 0% packet loss")
    shells = FakeShells({"p": lost, "q": fine, "d": FakeShell("d")})
    other = session()
    other = Session(FabricNic("q", "mlx5_0", 0, "", "127.0.0.1", 3), other.server, other.ports)
    plan = FabricPlan(((session(), other),))
    results = [each async for each in run_fabric(plan, shells, SystemClock(), FabricLimits(attempt_s=0.0))]
    by_node = {each.session.client.node: each for each in results}
    assert by_node["p"].ping == Unknown("p: the connection was lost")
    assert isinstance(by_node["q"].ping, Known)
    assert isinstance(by_node["q"].pingpong, Unknown)  # the tool is not installed: unknown, and no failure
    assert "not installed" in by_node["q"].pingpong.reason
