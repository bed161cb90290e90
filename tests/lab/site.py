"""What a host is given before its first boot: its name, its keys, its operator, and a disk that only it writes to."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from pathlib import Path

import asyncssh

from tests.lab.command import run
from tests.lab.linux import enter
from tests.lab.network import Port

USER = "ops"
UID = 4001
MODEL = "/models/lab"
CHECKOUT = Path(__file__).parents[2]


class Sudo(Enum):
    """What sudo says to the operator."""

    NOPASSWD = f"{USER} ALL=(ALL:ALL) NOPASSWD: ALL\n"
    PASSWORD = f"{USER} ALL=(ALL:ALL) ALL\n"
    REQUIRETTY = f"Defaults requiretty\n{USER} ALL=(ALL:ALL) NOPASSWD: ALL\n"
    NOTHING = ""


@dataclass(frozen=True, slots=True)
class Site:
    """Where one host is built. `init` is the lab's PID 1 as seen from outside, `cgroup` the name of the lab's cgroups.

    `directory` is on this machine and goes with the lab; `place` is in the lab's own mounts, and goes with them.
    """

    init: int
    cgroup: str
    name: str
    port: Port
    directory: Path
    client_key: str  # public line
    host_key: asyncssh.SSHKey

    @property
    def place(self) -> str:
        return f"/run/lab/{self.name}"

    @property
    def root(self) -> str:
        """The host's root directory, in the lab's mounts."""
        return f"{self.place}/root"

    @property
    def upper(self) -> Path:
        """What the host has written or was given, as this process reaches it."""
        return Path(f"/proc/{self.init}/root{self.place}/upper")

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Put a file on the host's disk before it boots."""
        target = self.upper / path.lstrip("/")
        for parent in reversed(target.relative_to(self.upper).parents):
            (self.upper / parent).mkdir(mode=0o755, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)


async def make_disk(site: Site, *, size: str) -> None:
    """An empty disk in memory, which is nowhere else than in the lab's mounts."""
    script = f"""\
set -e
mkdir -p {site.place}
mount -t tmpfs -o mode=755,size={size} disk {site.place}
mkdir {site.place}/upper {site.place}/work {site.place}/docker {site.root}
"""
    await run([*enter(site.init, "mount", "pid"), "/bin/sh", "-s"], stdin=script.encode())


async def mount_disk(site: Site, lower: Path) -> None:
    """Lay it over `lower`, once the disk holds what the host is to find at its first boot."""
    options = f"lowerdir={lower},upperdir={site.place}/upper,workdir={site.place}/work"
    await run([*enter(site.init, "mount", "pid"), "mount", "-t", "overlay", "-o", options, "overlay", site.root])


def furnish(site: Site, *, sudo: Sudo, sshd: Sequence[str]) -> None:
    """Identity, sshd's settings and keys, and the operator's account."""
    site.write("/etc/hostname", f"{site.name}\n")
    site.write("/etc/machine-id", f"{site.port.index:08x}{hash_of(site.cgroup):024x}\n")
    site.write("/etc/hosts", f"127.0.0.1 localhost\n{site.port.address} {site.name}\n")
    site.write("/etc/ssh/lab_key", site.host_key.export_private_key().decode(), 0o600)
    site.write("/etc/ssh/sshd_config", "\n".join([*sshd, *_SSHD, ""]))
    site.write(f"{MODEL}/config.json", "{}\n")
    site.write("/etc/sudoers.d/lab", sudo.value, 0o440)
    (site.upper / "root").mkdir(mode=0o711, exist_ok=True)  # the Python of a checkout may live there
    for home, uid in (("/root", 0), (f"/home/{USER}", UID)):
        site.write(f"{home}/.ssh/authorized_keys", site.client_key + "\n", 0o600)
        for path in (home, f"{home}/.ssh", f"{home}/.ssh/authorized_keys"):
            target = site.upper / path.lstrip("/")
            _own(target, uid)


def hash_of(text: str) -> int:
    """96 bits that are this text's."""
    return int.from_bytes(sha256(text.encode()).digest()[:12], "big")


def project_directories() -> list[str]:
    """What a host needs of this machine to run the project's Python under the same path: the checkout, the virtual
    environment, and the interpreter that it was made from."""
    wanted = [str(CHECKOUT), sys.prefix]
    if not sys.base_prefix.startswith("/usr"):
        wanted.append(sys.base_prefix)
    return [path for path in wanted if not any(path != other and path.startswith(f"{other}/") for other in wanted)]


def _own(path: Path, uid: int) -> None:
    os.chown(path, uid, uid)


# The first word on a keyword counts in sshd_config(5), so a host's own settings stand before these.
_SSHD = (
    "HostKey /etc/ssh/lab_key",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin prohibit-password",
    "UsePAM no",
    "UseDNS no",
    "PrintMotd no",
    "LogLevel VERBOSE",
    "Subsystem sftp internal-sftp",
)
