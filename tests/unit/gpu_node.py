"""An envelope of a simulated node without collecting it: its files under the paths that are read, its tools' output."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from pdctl.health.collection import GPU_COMMANDS, HOST_COMMANDS, NIC_COMMANDS
from pdctl.health.envelope import Envelope, File, Item
from pdctl.sim.standins.host import Host, Shape, host

WALL_S = 1_767_261_600.0  # some time after the last line of the simulated kernel log
UPTIME_S = 864_000.0


def envelope(shape: Shape | None = None, *, wall_s: float = WALL_S) -> Envelope:
    """What a full collection of that node brings."""
    node = host(shape)
    files = {path: File(text=text) for path, text in _under_links(node).items() if not path.startswith("/dev/")}
    files |= {path: File(text="0666 0 44") for path in node.files if path.startswith("/dev/")}
    used = {path: (file.text,) * 3 for path, file in files.items() if path.endswith("_vram_used")}
    return Envelope(
        node="n1",
        machine_id="m1",
        boot_id="b1",
        wall_s=wall_s,
        mono_s=UPTIME_S,
        items=_items(node),
        files=files,
        samples=used,
    )


def _under_links(node: Host) -> Mapping[str, str]:
    """The files, and those below the target of every link under the link's own path."""
    found = dict(node.files)
    for link, target in node.links.items():
        real = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
        found |= {link + path[len(real) :]: text for path, text in node.files.items() if path.startswith(f"{real}/")}
    return found


def _items(node: Host) -> Mapping[str, Item]:
    found = {}
    for command in (*GPU_COMMANDS, *NIC_COMMANDS, *HOST_COMMANDS):
        said = node.tools.get(command.argv[0], {}).get(" ".join(command.argv[1:]))
        if said is None:
            found[command.id] = Item(argv=command.argv, refused="not found")
        else:
            found[command.id] = Item(argv=command.argv, status=0, seconds=0.2, stdout=said)
    return found
