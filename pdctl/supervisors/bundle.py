"""Programs for nodes, joined from the fragments in this package: each is sent whole, over stdin, and kept nowhere."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from pdctl.ssh.program import NodeProgram

_PACKAGE = "pdctl.supervisors"
_DOCSTRING = re.compile(r'\A""".*?"""', re.DOTALL)
_OWN_IMPORT = re.compile(r"^from pdctl\.[.\w]* import (?:\([^)]*\)|[^(\n]*)$", re.MULTILINE)
# Patterns rather than a parse: 50 ms of the controller's before the first node is asked.

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
    """The source of the fragments as one program: without their imports of each other, without docstrings.

    A fragment is a module of this package, or one of another by its whole name.
    """
    return "\n".join(_stripped(fragment) for fragment in fragments)


def node_program(action: str, *fragments: str) -> NodeProgram:
    """The program of one action: a function of that name in the last fragment, (root, cluster, request, guard).

    A Refusal of the fragments' own becomes the prelude's, with its kind.
    """
    return NodeProgram(action, f"{bundle(*fragments)}\n{_MAIN.format(action=action)}")


def _stripped(fragment: str) -> str:
    package, _, name = fragment.rpartition(".")
    source = resources.files(package or _PACKAGE).joinpath(f"{name}.py").read_text(encoding="utf-8")
    for pattern in (_DOCSTRING, _OWN_IMPORT):
        source = pattern.sub("", source)
    return "\n".join(line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#"))
