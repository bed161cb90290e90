"""System units on a lab host, through its sshd and sudo as an operator has them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256

from pdctl.model.deployment import NodeSpec, SshSettings
from pdctl.model.role import UnitKind
from pdctl.model.unit import Labels, Restart, UnitSpec, UnitState, UnitStatus
from pdctl.ssh.pool import SshShells
from pdctl.ssh.ports import Shell
from pdctl.ssh.sudo import SudoShell
from pdctl.supervisors.systemd import SystemdSupervisor
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.waiting import wait_until

_KILL = """
for unit in $(systemctl list-units --plain --no-legend --all '{pattern}' | cut -d' ' -f1); do
  systemctl stop --no-block $unit; systemctl kill -s KILL $unit; systemctl stop $unit; systemctl reset-failed $unit
done 2>/dev/null
true
"""

PYTHON = "/usr/bin/python3"

# A leader and a worker that left its session; neither ends at SIGTERM.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
print("ready", flush=True)
time.sleep(600)
"""

# A leader that ends at SIGTERM, and a worker that left its session and does not.
ORPHANING = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


def cluster_of(test: str) -> str:
    """A cluster's name for a test, so that tests can share a host."""
    return f"t{sha256(test.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Rig:
    """One host and its supervisor for one cluster, whose name is the test's own."""

    host: LabHost
    cluster: str
    supervisor: SystemdSupervisor

    def spec(
        self, script: str, instance: str = "n1.all.0", *, generation: int = 1, gpus: tuple[int, ...] = (0,),
        stop_s: float = 5.0,
    ) -> UnitSpec:  # fmt: skip
        """An engine that runs `script` with /bin/sh."""
        labels = Labels(
            self.cluster, instance, generation, f"hash{generation}", UnitKind.ENGINE, "decode", "decode", gpus
        )
        return UnitSpec(labels, ("/bin/sh", "-c", script), {}, Restart.NEVER, stop_s)

    def python(self, script: str, instance: str = "n1.all.0", *, stop_s: float = 5.0) -> UnitSpec:
        """An engine that runs `script` with the host's Python."""
        return replace(self.spec("", instance, stop_s=stop_s), argv=(PYTHON, "-IS", "-c", script))

    def router(self, script: str, *, kind: UnitKind = UnitKind.ROUTER, generation: int = 1) -> UnitSpec:
        """A router (or registrar) that runs `script` with /bin/sh."""
        labels = Labels(self.cluster, kind.value, generation, "hash", kind)
        return UnitSpec(labels, ("/bin/sh", "-c", script), {}, Restart.ALWAYS, 5.0)

    def unit(self, instance: str = "n1.all.0") -> str:
        return f"pdctl.{self.cluster}.{instance}"

    async def seen(self, instance: str = "n1.all.0") -> UnitStatus:
        view = await self.supervisor.inspect()
        return next(status for status in view.units if status.labels.instance == instance)

    async def ended(self, instance: str = "n1.all.0") -> UnitStatus:
        """The unit, once it has ended."""

        async def over() -> UnitStatus | None:
            found = await self.seen(instance)
            return found if found.state in (UnitState.EXITED, UnitState.FAILED) else None

        await wait_until(over, 15, what=f"{instance} ends", poll_s=0.05)
        return await self.seen(instance)

    async def becomes(self, state: UnitState, instance: str = "n1.all.0") -> None:
        """Wait until the unit is in `state`."""

        async def there() -> bool:
            return (await self.seen(instance)).state is state

        await wait_until(there, 15, what=f"{instance} is {state}", poll_s=0.05)

    async def says(self, text: str, instance: str = "n1.all.0") -> None:
        """Wait until the unit has printed `text`."""

        async def said() -> bool:
            return text in await self.journal(instance)

        await wait_until(said, 15, what=f"{text!r} in the journal", poll_s=0.05)

    async def journal(self, instance: str = "n1.all.0") -> str:
        return await self.host.run("journalctl", "-q", "-o", "cat", f"_SYSTEMD_UNIT={self.unit(instance)}.service")

    async def processes(self, instance: str = "n1.all.0") -> list[int]:
        """Pids, as the host sees them, of what carries the unit's mark."""
        mark = f"PDCTL_UNIT={self.unit(instance)}"
        script = f"grep -lzx '{mark}' /proc/[0-9]*/environ 2>/dev/null || true"
        found = await self.host.run("/bin/sh", "-c", script)
        return [int(number) for number in re.findall(r"/proc/(\d+)/", found)]

    async def kill(self, *pids: int) -> None:
        await self.host.run("kill", "-KILL", *map(str, pids))


@asynccontextmanager
async def operator(lab: Lab, *, host: str = "h1", user: str = "ops") -> AsyncIterator[Shell]:
    """A connection of its own to a host of the lab."""
    found = lab.hosts[host]
    settings = SshSettings(
        user=user, identity=str(lab.client_key), known_hosts=str(lab.known_hosts), keepalive_s=1.0, keepalive_count=2
    )
    node = NodeSpec("n1", found.address, found.ssh_port, found.address, "mi300x", 8, 0, settings)
    shells = SshShells({"n1": node})
    try:
        yield shells.shell("n1")
    finally:
        await shells.close()


@asynccontextmanager
async def rig(lab: Lab, cluster: str, *, host: str = "h1", user: str = "ops") -> AsyncIterator[Rig]:
    """A rig on a host of the lab; whatever lives of the cluster at the end is killed."""
    found = lab.hosts[host]
    async with operator(lab, host=host, user=user) as shell:
        supervisor = SystemdSupervisor(SudoShell(shell), cluster, stop_budget_s=10.0)
        try:
            yield Rig(found, cluster, supervisor)
        finally:
            await found.run("/bin/sh", "-c", _KILL.format(pattern=f"pdctl.{cluster}.*"))
