"""What a simulated node looks like from inside: its directories, and the environment of every command on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MARKER = "PDCTL_SIM_FLEET"
"""In the environment of the fleet, its nodes and all that runs on them: how leftovers are recognised."""

INHERITED = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONHASHSEED", "COVERAGE_PROCESS_START")


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One simulated node. `root` holds its home, its temporary files and its GPUs' memory figures."""

    fleet: str
    name: str
    data_address: str
    port: int
    root: Path
    tools: Path
    client_key: str  # the only public key that may log in, in OpenSSH form
    host_key: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def vram(self) -> Path:
        return self.root / "vram"

    @property
    def temp(self) -> Path:
        return self.root / "tmp"

    @property
    def hostname(self) -> str:
        return f"sim-{self.name}"

    def make_directories(self) -> None:
        for path in (self.home, self.vram, self.temp):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)


def command_environment(node: NodeConfig, inherited: Mapping[str, str], session: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a command that arrived over SSH: nothing of the caller's leaks in but locale and PATH.

    The stand-ins come first in PATH and the directory of our own interpreter last, so that `python3` is found even
    where the machine has none besides. `session` is what the client asked for; as with Debian's sshd only LANG and
    LC_* are taken.
    """
    environment = {name: inherited[name] for name in INHERITED if name in inherited}
    environment |= {name: value for name, value in session.items() if name == "LANG" or name.startswith("LC_")}
    user = inherited.get("USER") or inherited.get("LOGNAME") or "sim"
    system_path = inherited.get("PATH") or os.defpath
    environment |= {
        "HOME": str(node.home),
        "USER": user,
        "LOGNAME": user,
        "SHELL": "/bin/sh",
        "TMPDIR": str(node.temp),
        "PATH": os.pathsep.join((str(node.tools), system_path, str(Path(sys.executable).parent))),
        "XDG_CONFIG_HOME": str(node.home / ".config"),
        "XDG_CACHE_HOME": str(node.home / ".cache"),
        "XDG_DATA_HOME": str(node.home / ".local/share"),
        "XDG_STATE_HOME": str(node.home / ".local/state"),
        "XDG_RUNTIME_DIR": str(node.temp),
        MARKER: node.fleet,
        "PDCTL_SIM_NODE": node.name,
        "PDCTL_SIM_HOSTNAME": node.hostname,
        "PDCTL_SIM_DATA_ADDRESS": node.data_address,
        "PDCTL_SIM_VRAM_DIR": str(node.vram),
    }
    return environment
