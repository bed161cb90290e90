"""Programs for nodes, joined from modules of ours: one text, without docstrings, comments and imports of each other."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_DOCSTRING = re.compile(r'\A""".*?"""', re.DOTALL)
_OWN_IMPORT = re.compile(r"^from pdctl\.[.\w]* import (?:\([^)]*\)|[^(\n]*)$", re.MULTILINE)
# Patterns rather than a parse: 50 ms of the controller's before the first node is asked.


@cache
def joined(*modules: str) -> str:
    """The source of these modules ("pdctl.telemetry.sysfs_on_node") as one program, in the order of definition: a
    module uses names of those before it."""
    return "\n".join(_stripped(module) for module in modules)


def _stripped(module: str) -> str:
    package, _, name = module.rpartition(".")
    source = resources.files(package).joinpath(f"{name}.py").read_text(encoding="utf-8")
    source = _OWN_IMPORT.sub("", _DOCSTRING.sub("", source))
    return "\n".join(line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#"))
