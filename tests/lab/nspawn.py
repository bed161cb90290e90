"""Hosts with systemd as PID 1, by systemd-nspawn: real units, real sshd, sudo, and docker where asked for.

What works here was found by trying (systemd 252, Linux 6.18): nspawn runs in the lab's PID, mount and IPC namespaces
without machined (`--register=no --keep-unit`); the host's network namespace is made before and handed over by path.
The host sees a pure cgroup v2 tree, as today's distributions have it, even where this machine's controllers are all
bound to v1: then units and containers have no memory or task limits, but are tracked and killed by cgroup as ever.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.command import LabError, run
from tests.lab.linux import enter
from tests.lab.machine import SpawnedMachine
from tests.lab.network import netns
from tests.lab.root import systemd_root
from tests.lab.site import USER, Site, Sudo, furnish, make_disk, mount_disk, project_directories
from tests.waiting import wait_until

_BOOT_S = 60.0

# Beyond nspawn's own: limits of units and containers (RDMA needs memlock), and docker's name spaces.
_CAPABILITIES = "CAP_NET_ADMIN,CAP_SYS_RESOURCE,CAP_IPC_LOCK,CAP_SYS_PTRACE"
_SYSTEM_CALLS = ("add_key", "keyctl", "bpf")

_RUNC = "/usr/local/sbin/lab-runc"

# No network of its own: containers get the host's, as engines want it.
_DOCKER = {
    "bridge": "none",
    "iptables": False,
    "ip6tables": False,
    "ip-forward": False,
    "runtimes": {"lab": {"path": _RUNC}},
    "default-runtime": "lab",
}

# The same; cgroups are made by podman itself, and no limit is asked for where there may be no controllers.
_PODMAN = f"""\
[containers]
netns = "host"
pids_limit = 0

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "lab"

[engine.runtimes]
lab = ["{_RUNC}"]
"""

# With --keep-unit, nspawn ends with status 133 where its host reboots: each boot is another nspawn in the same cgroup.
_POWER = """\
while :; do
  /bin/sh -c 'set -e
    for tree in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
      [ -e $tree/cgroup.procs ] || continue
      mkdir -p $tree/{cgroup}/{name}
      echo $$ >$tree/{cgroup}/{name}/cgroup.procs
    done
    exec "$@"' boot "$@"
  [ $? = 133 ] || exit 0
done
"""


@dataclass(frozen=True, slots=True)
class Systemd:
    """A kind of host. `sshd`: lines of sshd_config that override the usual ones. `files`: more of its disk, by path.

    `disk` bounds what all of it may write, in memory. `docker` or `podman`: it has that container engine, not both.
    """

    sudo: Sudo = Sudo.NOPASSWD
    docker: bool = False
    podman: bool = False
    sshd: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    disk: str = "1g"
    user: str = USER

    async def prepare(self) -> None:
        """Make the root that all hosts of this kind share, where this machine has not made it yet."""
        await asyncio.to_thread(systemd_root, podman=self.podman)

    async def build(self, site: Site) -> SpawnedMachine:
        """Make the host's disk; it is not switched on yet."""
        lower = await asyncio.to_thread(systemd_root, podman=self.podman)
        await make_disk(site, size=self.disk)
        furnish(site, sudo=self.sudo, sshd=self.sshd)
        site.write("/etc/systemd/journald.conf", "[Journal]\nStorage=persistent\nSystemMaxUse=64M\n")
        (site.upper / "var/log/journal").mkdir(parents=True)
        if self.docker or self.podman:
            site.write(_RUNC, Path(__file__).with_name("lab_runc.py").read_text(), 0o755)
        if self.podman:
            site.write("/etc/containers/containers.conf", _PODMAN)
        if self.docker:
            site.write("/etc/docker/daemon.json", json.dumps(_DOCKER))
            wanted = site.upper / "etc/systemd/system/multi-user.target.wants/docker.service"
            wanted.parent.mkdir(parents=True)
            wanted.symlink_to("/lib/systemd/system/docker.service")
        for path, text in self.files.items():
            site.write(path, text)
        await mount_disk(site, lower)
        kept = "docker" if self.docker else "containers" if self.podman else ""
        return SpawnedMachine(site, _command(site, containers=kept), ready=_booted)


async def _booted(machine: SpawnedMachine) -> None:
    def manager() -> int | None:
        """The pid of PID 1, once it takes commands."""
        pid = machine.pid()
        return pid if pid is not None and Path(f"/proc/{pid}/root/run/systemd/private").exists() else None

    name = machine.site.name
    await wait_until(manager, _BOOT_S, what=f"{name} has a manager")
    entered = enter(manager() or 0)
    state = await run([*entered, "/bin/sh", "-c", "systemctl is-system-running --wait || true"])
    if state.strip() != "running":
        failed = await run([*entered, "systemctl", "--failed", "--plain", "--no-legend"])
        raise LabError(f"{name} is {state.strip()}: {failed.strip()}")


def _command(site: Site, *, containers: str) -> list[str]:
    """`containers`: what the container engine calls its directory below /var/lib; overlays do not nest."""
    return [
        *("/bin/sh", "-c", _POWER.format(cgroup=site.cgroup, name=site.name), "power"),
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
        *(f"--bind-ro={path}" for path in project_directories()),
        *([f"--bind={site.place}/docker:/var/lib/{containers}"] if containers else []),
    ]
