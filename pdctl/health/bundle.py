"""The collector as it is sent to nodes: its fragments joined to one program, kept nowhere there."""

from __future__ import annotations

from functools import cache

from pdctl.ssh.joined import joined
from pdctl.ssh.program import NodeProgram

_PARTS = ("read_files_on_node", "run_tools_on_node", "collect_on_node")


@cache
def collector() -> NodeProgram:
    """The program of `collect_on_node.main(order)`; the order is `Collection.payload()`."""
    return NodeProgram("check", joined(*(f"pdctl.health.{part}" for part in _PARTS)))
