"""What the tests below need of the machine; where it lacks something, they are skipped with one line that says what.

All of them need root and the lab's tools. Those in `test_systemd_*` and `test_docker_*` need such hosts too, and so do
those with the marks `systemd` and `docker`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.lab.trial import Part, parts_lacking

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


def part_needed(item: pytest.Item) -> Part:
    """The most demanding part of the lab that a test uses."""
    named = item.path.name.split("_")[1]
    parts = [part for part in Part if part == named or item.get_closest_marker(part) is not None]
    return parts[-1] if parts else Part.NAMESPACES


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lacking = missing()
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.lab)
            if lacking:
                item.add_marker(pytest.mark.skip(reason=lacking))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Try each part that the chosen tests need, before any test's clock runs; this makes the hosts' root too."""
    chosen = [item for item in session.items if item.path.is_relative_to(_HERE)]
    if not chosen or missing() or session.config.option.collectonly:
        return
    lacking = parts_lacking({part_needed(item) for item in chosen})
    for item in chosen:
        if part_needed(item) in lacking:
            item.add_marker(pytest.mark.skip(reason=lacking[part_needed(item)]))
