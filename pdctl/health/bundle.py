"""The collector as it is sent to nodes: its fragments joined to one program, kept nowhere there."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from pdctl.ssh.program import NodeProgram

_PACKAGE = "pdctl.health"
_PARTS = ("read_files_on_node.py", "run_tools_on_node.py", "collect_on_node.py")
_DOCSTRING = re.compile(r'\A""".*?"""', re.DOTALL)
_OWN_IMPORT = re.compile(r"^from pdctl\.health[.\w]* import (?:\([^)]*\)|[^(\n]*)$", re.MULTILINE)


@cache
def collector() -> NodeProgram:
    """The program of `collect_on_node.main(order)`; the order is `Collection.payload()`."""
    return NodeProgram("check", "\n".join(_stripped(part) for part in _PARTS))


def _stripped(part: str) -> str:
    source = resources.files(_PACKAGE).joinpath(part).read_text(encoding="utf-8")
    source = _OWN_IMPORT.sub("", _DOCSTRING.sub("", source))
    return "\n".join(line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#"))
