"""The light look at a host that is a directory: quiet while it is healthy, an alert for what breaks while it serves."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from pdctl.control.clock import SystemClock
from pdctl.control.light_watch import LightWatch
from pdctl.health.collect import collect
from pdctl.health.collection import Profile, Targets, collection
from pdctl.health.envelope import Envelope
from pdctl.health.finding import Verdict
from pdctl.health.fleet import fleet_of
from pdctl.health.judge import judge
from pdctl.health.light import LIGHT_CHECKS, light_registry
from pdctl.health.registry import REGISTRY
from pdctl.model.deployment import Deployment, Parallel
from pdctl.model.observed import Trouble
from pdctl.model.role import Role
from pdctl.model.snapshot import AlertLevel
from pdctl.sim.standins.host import Shape, fleet
from pdctl.ssh.fake import FakeShells
from pdctl.ssh.local import LocalShell
from tests.unit import deployments


def alone() -> Deployment:
    shape = Parallel(tp=4)
    return deployments.cluster(
        "alone",
        [deployments.node("n1", 1)],
        [deployments.pool("prefill", Role.PREFILL, shape), deployments.pool("decode", Role.DECODE, shape)],
        [deployments.slot("n1", range(4), "prefill", "a"), deployments.slot("n1", range(4, 8), "decode", "b")],
    )


def light_watch() -> LightWatch:
    return LightWatch(alone(), FakeShells({}), SystemClock())


class Host:
    """A healthy host below a directory, looked at lightly."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "n1"
        self.tools = fleet(1, Shape("n1"))[0].install(self.root)

    async def look(self) -> Envelope:
        order = collection(Profile.LIGHT, Targets(), root=str(self.root), path=str(self.tools))
        return await collect(LocalShell("n1"), order, now=SystemClock().time)

    def write(self, path: str, text: str) -> None:
        """Change files below the root; `path` is a glob."""
        found = list(self.root.glob(path.lstrip("/")))
        assert found, path
        for each in found:
            each.write_text(text)


async def test_a_healthy_host_is_quiet_and_every_light_check_is_answered(tmp_path: Path) -> None:
    host, watch = Host(tmp_path), light_watch()
    assert watch.take({"n1": await host.look()}) == ()
    second = await host.look()
    assert watch.take({"n1": second}) == ()
    facts = fleet_of(alone(), {"n1": second}, baselines=watch.baselines)
    findings = judge(facts, light_registry(REGISTRY)).findings
    assert [each.check for each in findings if each.verdict is not Verdict.PASS] == []
    answered = {each.check for each in findings}
    assert [each for each in LIGHT_CHECKS if not any(fnmatchcase(check, each) for check in answered)] == []


async def test_what_breaks_while_it_serves_is_an_alert_until_it_is_mended(tmp_path: Path) -> None:
    host, watch = Host(tmp_path), light_watch()
    watch.take({"n1": await host.look()})
    ports = "/sys/class/infiniband/mlx5_0/ports/1"
    host.write(f"{ports}/state", "1: DOWN\n")
    host.write(f"{ports}/phys_state", "3: Disabled\n")
    raised = watch.take({"n1": await host.look()})
    assert {(alert.id, alert.level) for alert in raised} == {("nic.port_state:n1:mlx5_0", AlertLevel.PAGE)}
    lost = watch.take({"n1": Trouble("timed out", exit_code=4)})
    assert [alert.id for alert in lost] == ["nic.port_state:n1:mlx5_0", "reach.ssh:n1"]
    host.write(f"{ports}/state", "4: ACTIVE\n")
    host.write(f"{ports}/phys_state", "5: LinkUp\n")
    assert watch.take({"n1": await host.look()}) == ()
