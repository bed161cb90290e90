"""Put the stand-ins into a directory that goes first in a simulated node's PATH."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

MODULES = {
    "amd-smi": "amd_smi",
    "rocm-smi": "rocm_smi",
    "rdma": "rdma_tools",
    "ibv_devinfo": "rdma_tools",
    "ibstat": "rdma_tools",
    "show_gids": "rdma_tools",
    "ethtool": "rdma_tools",
    "ip": "ip_tool",
}


def install_tools(directory: Path) -> None:
    """Write one small shell script per tool: no site-packages, no bytecode written, so a start costs some 20 ms."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    package_root = Path(__file__).parents[3]
    python = f"PYTHONPATH={shlex.quote(str(package_root))} exec {shlex.quote(sys.executable)} -S -B"
    for tool, module in MODULES.items():
        program = f"import sys; sys.argv[0] = {tool!r}; from pdctl.sim.standins.{module} import main; main()"
        _script(directory / tool, f'{python} -c {shlex.quote(program)} "$@"')
    _script(directory / "hostname", 'printf "%s\\n" "$PDCTL_SIM_HOSTNAME"')
    # An interpreter, as nodes have: the machine's own python3 may be a version manager's shim, slow as ten of these.
    (directory / "python3").symlink_to(Path(sys.executable).resolve())


def _script(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
