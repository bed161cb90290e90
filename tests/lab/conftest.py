"""Every test below needs root and the lab's tools; where one is missing, all are skipped with one line that says so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.lab.command import LabError
from tests.lab.root import systemd_root

_HERE = Path(__file__).parent
_TOOLS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "sudo": "sudo",
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
}
_SEARCH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def missing() -> str:
    """What this machine lacks for a lab, in words; "" where it lacks nothing."""
    if os.geteuid() != 0:
        return "the lab needs root"
    packages = sorted({package for tool, package in _TOOLS.items() if shutil.which(tool, path=_SEARCH) is None})
    return f"the lab needs packages: {' '.join(packages)}" if packages else ""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lacking = missing()
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.lab)
            if lacking:
                item.add_marker(pytest.mark.skip(reason=lacking))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make the root of the systemd hosts before any test's clock runs, where this machine has not made it yet."""
    wanted = any(item.path.is_relative_to(_HERE) for item in session.items)
    if wanted and not missing() and not session.config.option.collectonly:
        try:
            systemd_root()
        except LabError as exc:
            pytest.exit(str(exc), returncode=1)
