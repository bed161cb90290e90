"""Hosts with systemd as PID 1, by systemd-nspawn: real units, real sshd, sudo, and docker where asked for.

What works here was found by trying (systemd 252, Linux 6.18): nspawn runs in the lab's PID, mount and IPC namespaces
without machined (`--register=no --keep-unit`); the host's network namespace is made before and handed over by path.
The host sees a pure cgroup v2 tree, as today's distributions have it, even where this machine's controllers are all
bound to v1: then units and containers have no memory or task limits, but are tracked and killed by cgroup as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.command import LabError, run
from tests.lab.linux import descendant_init, enter
from tests.lab.network import netns
from tests.lab.root import systemd_root
from tests.lab.site import USER, Site, Sudo, furnish, make_disk, mount_disk, project_directories
from tests.waiting import wait_until

_BOOT_S = 60.0
_GONE_S = 20.0

# Beyond nspawn's own: limits of units and containers (RDMA needs memlock), and docker's name spaces.
_CAPABILITIES = "CAP_NET_ADMIN,CAP_SYS_RESOURCE,CAP_IPC_LOCK,CAP_SYS_PTRACE"
_SYSTEM_CALLS = ("add_key", "keyctl", "bpf")

# No network of its own: containers get the host's, as engines want it.
_DOCKER = {"bridge": "none", "iptables": False, "ip6tables": False, "ip-forward": False}

_START = """\
set -e
for tree in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
  [ -e $tree/cgroup.procs ] || continue
  mkdir -p $tree/{cgroup}/{name}
  echo $$ >$tree/{cgroup}/{name}/cgroup.procs
done
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Systemd:
    """A kind of host. `sshd`: lines of sshd_config that override the usual ones. `files`: more of its disk, by path.

    `disk` bounds what all of it may write, in memory.
    """

    sudo: Sudo = Sudo.NOPASSWD
    docker: bool = False
    sshd: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    disk: str = "1g"
    user: str = USER

    async def build(self, site: Site) -> NspawnMachine:
        """Make the host's disk; it is not switched on yet. Makes the root that all share at the first use."""
        lower = await asyncio.to_thread(systemd_root)
        await make_disk(site, size=self.disk)
        furnish(site, sudo=self.sudo, sshd=self.sshd)
        site.write("/etc/systemd/journald.conf", "[Journal]\nStorage=persistent\nSystemMaxUse=64M\n")
        (site.upper / "var/log/journal").mkdir(parents=True)
        if self.docker:
            site.write("/etc/docker/daemon.json", json.dumps(_DOCKER))
            wanted = site.upper / "etc/systemd/system/multi-user.target.wants/docker.service"
            wanted.parent.mkdir(parents=True)
            wanted.symlink_to("/lib/systemd/system/docker.service")
        for path, text in self.files.items():
            site.write(path, text)
        await mount_disk(site, lower)
        return NspawnMachine(site, docker=self.docker)


class NspawnMachine:
    """The machine under one systemd host. A reboot from inside keeps it; its PID 1 is another one then."""

    def __init__(self, site: Site, *, docker: bool) -> None:
        self._site = site
        self._docker = docker
        self._process: asyncio.subprocess.Process | None = None

    async def boot(self) -> int:
        site = self._site
        script = _START.format(cgroup=site.cgroup, name=site.name)
        with site.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *enter(site.init, "mount", "pid", "ipc", "uts", "net"),
                "/bin/sh", "-c", script, "boot", *self._nspawn(),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.defpath + ":/usr/sbin:/sbin", "UNIFIED_CGROUP_HIERARCHY": "yes"},
            )  # fmt: skip
        await wait_until(self._started, _BOOT_S, what=f"{site.name} has a PID 1")
        pid = self.pid()
        if pid is None:
            raise LabError(f"{site.name} does not boot: {site.log.read_text(errors='replace')[-2000:]}")
        return pid

    async def ready(self) -> None:
        site = self._site
        pid = await self._settled()
        state = await run([*enter(pid), "/bin/sh", "-c", "systemctl is-system-running --wait || true"])
        if state.strip() != "running":
            failed = await run([*enter(pid), "systemctl", "--failed", "--plain", "--no-legend"])
            raise LabError(f"{site.name} is {state.strip()}: {failed.strip()}")

    async def power_off(self) -> None:
        if self._process is None:
            return
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(self._process.wait(), _GONE_S)

    def pid(self) -> int | None:
        if self._process is None or self._process.returncode is not None:
            return None
        return descendant_init(self._process.pid)

    async def _settled(self) -> int:
        """The pid of PID 1, once it takes commands: the manager's bus socket stands early at boot."""
        bus = "run/systemd/private"
        await wait_until(
            lambda: (pid := self.pid()) is not None and Path(f"/proc/{pid}/root", bus).exists(),
            _BOOT_S,
            what=f"{self._site.name} has a manager",
        )
        pid = self.pid()
        assert pid is not None
        return pid

    def _started(self) -> bool:
        assert self._process is not None
        return self._process.returncode is not None or self.pid() is not None

    def _nspawn(self) -> list[str]:
        site = self._site
        binds = [f"--bind-ro={path}" for path in project_directories()]
        docker = [f"--bind={site.place}/docker:/var/lib/docker"] if self._docker else []
        return [
            "systemd-nspawn",
            "--quiet",
            f"--directory={site.root}",
            f"--machine={site.name}",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            f"--network-namespace-path={netns(site.name)}",
            f"--capability={_CAPABILITIES}",
            *(f"--system-call-filter={name}" for name in _SYSTEM_CALLS),
            *binds,
            *docker,
        ]
