"""Units for the supervisors' tests: specs of small shell engines, and what they leave on the machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

from pdctl.model.role import UnitKind
from pdctl.model.unit import Labels, Restart, UnitSpec, unit_name

CLUSTER = f"t{os.getpid()}"
"""Of this test process alone: another one may run units of the same names at the same time."""

UNIT = unit_name(CLUSTER, "n1.all.0")


def shell_unit(
    script: str,
    instance: str = "n1.all.0",
    *,
    generation: int = 1,
    gpus: tuple[int, ...] = (0,),
    restart: Restart = Restart.NEVER,
    stop_s: float = 5.0,
    cluster: str = CLUSTER,
) -> UnitSpec:
    """A unit that runs `script` with /bin/sh. Change more of it with `dataclasses.replace`."""
    labels = Labels(cluster, instance, generation, f"hash{generation}", UnitKind.ENGINE, "decode", "decode", gpus)
    return UnitSpec(labels, ("/bin/sh", "-c", script), {}, restart, stop_s)


def python_unit(script: str, instance: str = "n1.all.0", *, stop_s: float = 5.0) -> UnitSpec:
    """A unit that runs `script` with this Python."""
    spec = shell_unit("", instance, stop_s=stop_s)
    return UnitSpec(spec.labels, (sys.executable, "-IS", "-c", script), {}, Restart.NEVER, stop_s)


def living(unit: str) -> list[psutil.Process]:
    """The processes that carry the unit's mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PDCTL_UNIT") == unit and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def files_holding(root: Path, text: str) -> list[Path]:
    """Files below `root` whose content or name holds `text`."""
    return [
        path for path in root.rglob("*") if path.is_file() and (text in str(path) or text.encode() in path.read_bytes())
    ]


def open_to_others(root: Path) -> list[Path]:
    """What group or others may use, `root` and everything below it."""
    return [path for path in (root, *root.rglob("*")) if path.stat().st_mode & 0o077]


def command_lines_holding(text: str) -> list[int]:
    """Processes whose command line, as everybody may read it, holds `text`."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(text in word for word in process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
