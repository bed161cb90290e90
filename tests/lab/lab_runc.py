#!/usr/bin/python3
"""A container runtime for docker hosts of a lab that itself runs in a sandbox: runc, asked for no more than may be had.

A container with `--ulimit memlock=-1` needs CAP_SYS_RESOURCE, a privileged one every capability. Where the machine that
runs the lab holds some of them back, runc refuses the container; this leaves out what cannot be granted and goes on.
What was asked for stays to be read in `docker inspect`.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

RUNC = "/usr/sbin/runc"
SYS_RESOURCE = "CAP_SYS_RESOURCE"
# capabilities(7), by number.
NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip


def granted() -> set[str]:
    """The capabilities that anything started from here can have at most."""
    status = Path("/proc/self/status").read_text().splitlines()
    bounding = next(int(line.split()[1], 16) for line in status if line.startswith("CapBnd"))
    return {"CAP_" + name for number, name in enumerate(NAMES) if bounding >> number & 1}


def lessen(process: dict[str, Any], have: set[str]) -> None:
    """Change an OCI process description in place."""
    for kind, wanted in process.get("capabilities", {}).items():
        process["capabilities"][kind] = [name for name in wanted if name in have]
    if SYS_RESOURCE not in have:
        for limit in process.get("rlimits", []):
            ceiling = resource.getrlimit(getattr(resource, limit["type"]))[1]
            if ceiling != resource.RLIM_INFINITY:
                limit["hard"] = min(limit["hard"], ceiling)
                limit["soft"] = min(limit["soft"], ceiling)


def rewrite(path: Path, part: str | None) -> None:
    """Lessen the process that the file at `path` describes, at the top or as its `part`."""
    description = json.loads(path.read_text())
    lessen(description[part] if part else description, granted())
    path.write_text(json.dumps(description))


def main(arguments: list[str]) -> None:
    """Do as runc does with these arguments."""
    for option, value in itertools.pairwise(arguments):
        if option == "--bundle" and "create" in arguments:
            rewrite(Path(value, "config.json"), "process")
        elif option == "--process":
            rewrite(Path(value), None)
    os.execv(RUNC, [RUNC, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
