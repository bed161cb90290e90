"""Programs for nodes, joined from the fragments in this package: each is sent whole, over stdin, and kept nowhere."""

from __future__ import annotations

import ast
from functools import cache
from importlib import resources

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


@cache
def bundle(*fragments: str) -> str:
    """The source of the fragments as one program: without their imports of each other, without docstrings."""
    return "\n".join(_stripped(fragment) for fragment in fragments)


def node_program(action: str, *fragments: str) -> NodeProgram:
    """The program of one action: a function of that name in the last fragment, (root, cluster, request, guard).

    A Refusal of the fragments' own becomes the prelude's, with its kind.
    """
    return NodeProgram(action, f"{bundle(*fragments)}\n{_MAIN.format(action=action)}")


def _stripped(fragment: str) -> str:
    source = resources.files(_PACKAGE).joinpath(f"{fragment}.py").read_text(encoding="utf-8")
    lines = source.splitlines()
    for node in ast.parse(source).body:
        ours = isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE)
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if ours or text:
            first, last = node.lineno - 1, node.end_lineno or node.lineno
            lines[first:last] = [""] * (last - first)
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))
