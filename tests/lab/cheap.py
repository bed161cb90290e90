"""Cheap hosts: namespaces with an sshd of their own over this machine's programs. Many in a second, 2 MB each.

Each has its own hostname, PID 1, /tmp, /run, machine-id, accounts, and a /sys that can show devices that are not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.machine import SpawnedMachine
from tests.lab.network import netns
from tests.lab.site import UID, USER, Site, Sudo, furnish, make_disk, mount_disk, project_directories

_ISOLATE = ("unshare", "--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child")
_INIT = Path(__file__).with_name("cheap_init.sh")


@dataclass(frozen=True, slots=True)
class Cheap:
    """A kind of host. `sshd`: lines of sshd_config that override the usual ones. `files`: more of its disk, by path.

    `sysfs`: files that its /sys has over the machine's, by path below /sys (class/infiniband/…); `sysfs_links`:
    symlinks there. `proc`: files of /proc that say something else, by path below it; one that the kernel does not have
    cannot. `devices`: paths below /dev that exist (as plain files). `memlock_kib`: its logins' limit, where the
    machine's own is higher.
    """

    sudo: Sudo = Sudo.NOPASSWD
    sshd: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    sysfs: Mapping[str, str] = field(default_factory=dict)
    sysfs_links: Mapping[str, str] = field(default_factory=dict)
    proc: Mapping[str, str] = field(default_factory=dict)
    devices: Sequence[str] = ()
    memlock_kib: int | None = None
    disk: str = "256m"
    user: str = USER

    async def prepare(self) -> None:
        """Nothing: this machine has all that such a host needs."""

    async def build(self, site: Site) -> SpawnedMachine:
        """Make the host's disk; it is not switched on yet."""
        await make_disk(site, size=self.disk)
        furnish(site, sudo=self.sudo, sshd=self.sshd)
        for path, text in _accounts().items():
            site.write(path, text, 0o600 if path == "/etc/shadow" else 0o644)
        for path in ("/root/.bashrc", "/root/.profile", "/root/.bash_profile", "/etc/motd"):
            site.write(path, "")  # not this machine's: what they print lands in every command
        for path, text in self.files.items():
            site.write(path, text, 0o755 if text.startswith("#!") else 0o644)
        sysfs = _tree(site, "sys", self.sysfs, self.sysfs_links)
        proc = _tree(site, "proc", self.proc, {})
        devices = _tree(site, "dev", dict.fromkeys(self.devices, ""), {})
        await mount_disk(site, Path("/"))
        init = ["/bin/sh", str(_INIT), site.root, site.name, sysfs, " ".join(project_directories())]
        init += [proc, devices, "" if self.memlock_kib is None else str(self.memlock_kib)]
        return SpawnedMachine(site, ["nsenter", f"--net={netns(site.name)}", "--", *_ISOLATE, *init])


def _tree(site: Site, name: str, texts: Mapping[str, str], links: Mapping[str, str]) -> str:
    """Write files beside the host's disk; the directory as the lab's mounts show it, "" where there are none."""
    for path, text in texts.items():
        target = site.upper.with_name(name) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for path, to in links.items():
        target = site.upper.with_name(name) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(to)
    return f"{site.place}/{name}" if texts else ""


def _accounts() -> dict[str, str]:
    """This machine's accounts, and the operator's."""
    ours = {
        "/etc/passwd": f"{USER}:x:{UID}:{UID}::/home/{USER}:/bin/bash\n",
        "/etc/group": f"{USER}:x:{UID}:\n",
        "/etc/shadow": f"{USER}:*:19000:0:99999:7:::\n",
    }
    return {path: Path(path).read_text().rstrip("\n") + "\n" + line for path, line in ours.items()}
