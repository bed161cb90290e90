"""KFD's processes in sysfs: who holds a compute context, and how much memory on which GPU."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pdctl.health.envelope import File
from pdctl.health.parse.files import file_field
from pdctl.model.reading import Known, Reading, Unknown

PROC: Final = "/sys/class/kfd/kfd/proc"
_FILE = re.compile(re.escape(PROC) + r"/(\d+)/(?:vram_(\d+)|\w+)\Z")


@dataclass(frozen=True, slots=True)
class KfdProcess:
    """One process. `vram_bytes` by KFD's gpu_id; a context without memory holds 0."""

    pid: int
    name: Reading[str]
    cgroup: Reading[str]  # of the unified hierarchy, or the last line of /proc/PID/cgroup
    vram_bytes: Mapping[int, Reading[int]]


def parse_kfd_processes(files: Mapping[str, File]) -> tuple[KfdProcess, ...]:
    """By pid. What ended between two reads has files that no longer exist, and holds nothing."""
    found: dict[int, dict[int, Reading[int]]] = {}
    for path, file in files.items():
        if path.startswith(PROC) and (match := _FILE.match(path)) and file.error not in {"ENOENT", "ESRCH"}:
            held = found.setdefault(int(match[1]), {})
            if match[2]:
                held[int(match[2])] = file_field(files, path).count()
    return tuple(
        KfdProcess(pid, file_field(files, f"/proc/{pid}/comm").text(), _cgroup(files, pid), held)
        for pid, held in sorted(found.items())
    )


def _cgroup(files: Mapping[str, File], pid: int) -> Reading[str]:
    lines = file_field(files, f"/proc/{pid}/cgroup")
    if not isinstance(lines.value, str) or not lines.value:
        return lines.unknown()
    rows = lines.value.splitlines()
    own = next((row for row in rows if row.startswith("0::")), rows[-1])
    path = own.split(":", 2)[-1]
    return Known(path, lines.source) if path else Unknown(f"{lines.source} names no cgroup", lines.source)
