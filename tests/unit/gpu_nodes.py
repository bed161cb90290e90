"""Nodes with a planted fault, as the healthy one's envelope changed by what the fault changes: no tree is written."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from functools import cache

from pdctl.health.collection import GPU_COMMANDS, HOST_COMMANDS, NIC_COMMANDS
from pdctl.health.envelope import Envelope
from pdctl.sim.standins.host import Host, Shape, host
from tests.unit.health_nodes import changed, healthy


def planted(shape: Shape) -> Envelope:
    """The envelope of a node of that shape."""
    files, outputs = _shown(host(shape)), _printed(host(shape))
    before = _healthy()
    changes: dict[str, str | None] = {path: text for path, text in files.items() if before[0].get(path) != text}
    changes |= dict.fromkeys(path for path in before[0] if path not in files)
    said: dict[str, str | None] = {item: text for item, text in outputs.items() if before[1].get(item) != text}
    return changed(healthy(), changes, said)


@cache
def _healthy() -> tuple[Mapping[str, str], Mapping[str, str]]:
    return _shown(host()), _printed(host())


def _shown(node: Host) -> Mapping[str, str]:
    """The files of GPUs and processes under the paths that are collected: those of links instead of their targets."""
    found = {path: text for path, text in node.files.items() if not path.startswith(("/sys/devices/", "/dev/"))}
    for link, target in node.links.items():
        real = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
        if link.startswith("/sys/bus/pci/drivers/amdgpu/"):
            found |= {
                link + path[len(real) :]: text for path, text in node.files.items() if path.startswith(f"{real}/")
            }
    return found


def _printed(node: Host) -> Mapping[str, str]:
    """Outputs by item."""
    commands = (*GPU_COMMANDS, *NIC_COMMANDS, *HOST_COMMANDS)
    said = {command.id: node.tools.get(command.argv[0], {}).get(" ".join(command.argv[1:])) for command in commands}
    return {item: text for item, text in said.items() if text}
