"""The registrar as it is shipped: its parts joined to one stdlib-only program."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

PARTS = ("registrar_wire_on_node.py", "registrar_gate_on_node.py", "registrar_log_on_node.py", "registrar.py")
_OWN_IMPORT = "from pdctl."


@cache  # every plan hashes it, for each launch and for what was applied before
def registrar_source() -> str:
    """One Python 3.6 program: the parts in the order of their needs, without their imports of each other."""
    room = files("pdctl.routers")
    lines = (line for part in PARTS for line in room.joinpath(part).read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if not line.startswith(_OWN_IMPORT)) + "\n"
