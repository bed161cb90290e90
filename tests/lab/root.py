"""The root file system of the lab's systemd hosts: made once by debootstrap, then only ever read."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from tests.lab.command import LabError

CACHE = "PDCTL_LAB_CACHE"
_DEFAULT_CACHE = "/var/cache/pdctl-lab"
_SUITE = "bookworm"  # where this machine is no Debian itself
_PACKAGES = (
    "ca-certificates", "dbus", "docker.io", "iproute2", "openssh-server", "procps", "python3", "sudo", "systemd",
    "systemd-sysv",
)  # fmt: skip
_PODMAN = ("catatonit", "netavark", "podman", "runc")  # for docker.io; catatonit is what `--init` runs
_BUILD_S = 900.0

# debootstrap mounts /proc in the root it makes: in a mount namespace of its own, it cannot leave it there.
_DISABLE = 'chroot "$1" systemctl --quiet disable docker.service docker.socket containerd.service\n'
_PREPARE = """\
set -e
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id
rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/* "$1"/usr/share/doc/* "$1"/usr/share/locale/*
chmod 711 "$1"/root
chroot "$1" useradd --uid 4001 --create-home --shell /bin/bash --password "*" ops
{disable}chroot "$1" systemctl --quiet mask console-getty.service systemd-logind.service systemd-networkd.service \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
"""


def cache_directory() -> Path:
    """Where roots and images are kept between runs: $PDCTL_LAB_CACHE, or a directory below /var/cache."""
    return Path(os.environ.get(CACHE, _DEFAULT_CACHE))


def systemd_root(*, podman: bool = False) -> Path:
    """The root's directory, with docker or with podman; takes about two minutes and the network where it has to be
    made. Raises LabError."""
    packages: Sequence[str] = _PACKAGES
    if podman:
        packages = (*(name for name in _PACKAGES if name != "docker.io"), *_PODMAN)
    prepare = _PREPARE.replace("{disable}", "" if podman else _DISABLE)
    recipe = sha256(repr((_suite(), packages, prepare)).encode()).hexdigest()[:12]
    root = cache_directory() / f"root-{recipe}"
    with locked(cache_directory() / "root.lock"):
        if not root.is_dir():
            _build(root, packages, prepare)
    return root


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One maker at a time, across processes."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(root: Path, packages: Sequence[str], prepare: str) -> None:
    unfinished = root.with_name(root.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    make = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", _suite(), str(unfinished)]
    _run([*alone, *make, *_mirror()])
    _run([*alone, "/bin/sh", "-c", prepare, "prepare", str(unfinished)])
    unfinished.rename(root)


def _run(argv: list[str]) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_BUILD_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise LabError(f"the lab's root cannot be made: {exc}") from exc
    if done.returncode != 0:
        raise LabError(f"the lab's root cannot be made: {' '.join(argv)}:\n{(done.stdout + done.stderr)[-3000:]}")


def _suite() -> str:
    """This machine's release where it is Debian, so that its Python runs on the lab's hosts too."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return _SUITE
    return release.get("VERSION_CODENAME", _SUITE) if release.get("ID") == "debian" else _SUITE


def _mirror() -> list[str]:
    """The mirror that this machine's apt has for the suite; debootstrap's own default where it has none."""
    wanted = ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)", "Created-By: Packages"]
    try:
        lines = subprocess.run(wanted, capture_output=True, text=True, timeout=60).stdout.splitlines()
    except (OSError, subprocess.TimeoutExpired):
        return []
    return next(([line.split()[0]] for line in lines if line.split()[1:] == [_suite(), "main"]), [])
