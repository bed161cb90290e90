"""A cheap host that looks like a node with eight MI300X and eight ConnectX-7, healthy or with what a shape plants."""

from __future__ import annotations

from pdctl.sim.standins.host import Shape, host
from tests.lab.cheap import Cheap


def gpu_host(shape: Shape) -> Cheap:
    """Its /sys, its /proc and its tools are stand-ins; logins, sudo, Python and the network are real."""
    what = host(shape)
    below = {
        name: {path.removeprefix(name): text for path, text in what.files.items() if path.startswith(name)}
        for name in ("/sys/", "/proc/", "/dev/")
    }
    rest = {path: text for path, text in what.files.items() if not path.startswith(tuple(below))}
    rest.pop("/etc/machine-id")  # its own
    return Cheap(
        files={**rest, **{f"/usr/local/bin/{name}": script for name, script in what.scripts().items()}},
        sysfs=below["/sys/"],
        sysfs_links={path.removeprefix("/sys/"): target for path, target in what.links.items()},
        proc=below["/proc/"],
        devices=tuple(below["/dev/"]),
        memlock_kib=shape.memlock_kib,
    )
