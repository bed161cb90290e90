"""Programs for nodes, joined from the fragments in this package: each is sent whole, over stdin, and kept nowhere."""

from __future__ import annotations

from pdctl.ssh.joined import joined
from pdctl.ssh.program import NodeProgram

_PACKAGE = "pdctl.supervisors"

STATE = ("node_state_on_node",)
LOOK = (*STATE, "proc_on_node", "unit_log_on_node", "unit_on_node")
"""What reads units. The order is that of definition: a fragment uses names of those before it."""


_MAIN = """
def main(request):
    try:
        return perform({action}, request, lambda cluster_dir: guard_epoch(cluster_dir, request["epoch"]))
    except Refusal as refusal:
        refuse(refusal.kind, refusal.message, refusal.hint)
"""


def bundle(*fragments: str) -> str:
    """The source of the fragments as one program: without their imports of each other, without docstrings.

    A fragment is a module of this package, or one of another by its whole name.
    """
    return joined(*(name if "." in name else f"{_PACKAGE}.{name}" for name in fragments))


def node_program(action: str, *fragments: str) -> NodeProgram:
    """The program of one action: a function of that name in the last fragment, (root, cluster, request, guard).

    A Refusal of the fragments' own becomes the prelude's, with its kind.
    """
    return NodeProgram(action, f"{bundle(*fragments)}\n{_MAIN.format(action=action)}")
