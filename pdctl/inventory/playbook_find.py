"""Where playbooks are: a file by its path, or one that comes with pdctl by its name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pdctl
from pdctl.errors import UsageError
from pdctl.inventory.finding import did_you_mean


def shipped_playbooks() -> dict[str, Path]:
    """Those that come with pdctl, by name: in its wheel, or beside its package in a checkout."""
    for directory in (Path(str(resources.files("pdctl"))) / "playbooks", Path(pdctl.__file__).parents[1] / "playbooks"):
        if directory.is_dir():
            return {path.stem: path for path in sorted(directory.glob("*.yaml"))}
    return {}


def find_playbook(reference: str) -> Path:
    """The file that is meant. What has a directory or ends in .yaml is a path. Raises UsageError for no such name."""
    if "/" in reference or reference.endswith((".yaml", ".yml")):
        return Path(reference)
    shipped = shipped_playbooks()
    if reference in shipped:
        return shipped[reference]
    hint = did_you_mean(reference, shipped) or "`pdctl run --list` names them; a file of your own ends in .yaml"
    raise UsageError(f"no playbook {reference!r} comes with pdctl", hint=hint)
