"""The tools under comparison: how each runs one command on all hosts, verifying every host's key.

Each gets the same hosts, login, key and number of logins at once, reads no configuration of the account's, and must
find the host keys in the file it is given, or refuse.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fanout_hosts import Fleet
from fanout_inventories import ansible_inventory, openssh_options, pdctl_inventory, pyinfra_inventory
from fanout_measure import COMMAND

PDCTL = Path(sys.executable).with_name("pdctl")
HERE = Path(__file__).parent
AT_ONCE = 50
HOW_TO_INSTALL = "benchmarks/install_fanout_tools.sh"


@dataclass(frozen=True, slots=True)
class Setting:
    """One fleet as the tools see it: the first `hosts` of it, and the file with their keys."""

    fleet: Fleet
    hosts: int
    known_hosts: Path

    @property
    def directory(self) -> Path:
        """For inventories, sockets and output."""
        return self.fleet.client


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command line that fans out; `environment` is added to the benchmark's."""

    argv: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tool:
    """`fresh` logs in and runs; `held` runs over connections that it left open before. `driver` is how a tool that
    can hold connections within one process only is held: it does one round for every line on stdin."""

    name: str
    fresh: Callable[[Setting], Invocation]
    held: Callable[[Setting], Invocation] | None = None
    driver: Callable[[Setting], Invocation] | None = None


def pdctl(setting: Setting) -> Invocation:
    inventory = _pdctl_inventory(setting)
    return Invocation([str(PDCTL), "-i", str(inventory), "exec", "-t", "120", "--", *COMMAND])


def pdctl_driver(setting: Setting) -> Invocation:
    return Invocation([sys.executable, str(HERE / "fanout_pdctl_held.py"), str(_pdctl_inventory(setting))])


def pyinfra(setting: Setting, venv: Path) -> Invocation:
    inventory = _pyinfra_inventory(setting)
    argv = [str(venv / "bin/pyinfra"), "--parallel", str(AT_ONCE), "-y", str(inventory), "exec", "--", *COMMAND]
    return Invocation(argv, {"HOME": str(setting.directory)})


def pyinfra_driver(setting: Setting, venv: Path) -> Invocation:
    inventory = _pyinfra_inventory(setting)
    argv = [str(venv / "bin/python"), str(HERE / "fanout_pyinfra_held.py"), str(inventory), str(AT_ONCE)]
    return Invocation(argv, {"HOME": str(setting.directory)})


def ansible(setting: Setting, venv: Path, *, curve: bool = False, held: bool = False) -> Invocation:
    inventory = ansible_inventory(setting.fleet, setting.hosts, setting.directory / "ansible.ini")
    configuration = setting.directory / "ansible.cfg"
    configuration.touch()
    control = _control(setting, "a") if held else None
    options = openssh_options(setting.fleet, setting.known_hosts, control=control, curve=curve)
    argv = [str(venv / "bin/ansible"), "all", "-i", str(inventory), "-f", str(AT_ONCE), "-m", "raw", "-a"]
    environment = {
        "ANSIBLE_SSH_ARGS": " ".join(options),
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_CONFIG": str(configuration),
        "ANSIBLE_HOME": str(setting.directory / "ansible-home"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
    }
    if control is not None:
        environment["ANSIBLE_SSH_CONTROL_PATH"] = f"{control}/%C"
    return Invocation([*argv, " ".join(COMMAND)], environment)


def pdsh(setting: Setting, *, curve: bool = False, held: bool = False) -> Invocation:
    control = _control(setting, "p") if held else None
    options = openssh_options(setting.fleet, setting.known_hosts, control=control, curve=curve)
    hosts = ",".join(setting.fleet.addresses[: setting.hosts])
    argv = ["pdsh", "-S", "-R", "ssh", "-f", str(AT_ONCE), "-w", hosts, *COMMAND]
    # Its own default of PDSH_SSH_ARGS is "-2 -a -x -l%u %h".
    return Invocation(argv, {"PDSH_SSH_ARGS": " ".join([*options, "-a", "-x", "-l%u", "%h"])})


def tools(venv: Path, *, curve: bool) -> tuple[list[Tool], list[str]]:
    """The tools that are there, pdctl first, and a line for each that is not."""
    found = [Tool("pdctl", pdctl, driver=pdctl_driver)]
    absent = []
    if (venv / "bin/pyinfra").exists():
        found.append(Tool("pyinfra", lambda s: pyinfra(s, venv), driver=lambda s: pyinfra_driver(s, venv)))
    else:
        absent.append(_skipped("pyinfra", venv))
    if (venv / "bin/ansible").exists():
        found.append(Tool("ansible raw", lambda s: ansible(s, venv), held=lambda s: ansible(s, venv, held=True)))
        if curve:
            found.append(Tool("ansible raw, curve25519", lambda s: ansible(s, venv, curve=True)))
    else:
        absent.append(_skipped("ansible", venv))
    if shutil.which("pdsh"):
        found.append(Tool("pdsh", pdsh, held=lambda s: pdsh(s, held=True)))
        if curve:
            found.append(Tool("pdsh, curve25519", lambda s: pdsh(s, curve=True)))
    else:
        absent.append("skipped: there is no pdsh (apt install pdsh)")
    return found, absent


def _skipped(tool: str, venv: Path) -> str:
    return f"skipped: there is no {tool} in {venv} ({HOW_TO_INSTALL} {venv})"


def _pdctl_inventory(setting: Setting) -> Path:
    return pdctl_inventory(setting.fleet, setting.hosts, setting.known_hosts, setting.directory / "pdctl.yaml")


def _pyinfra_inventory(setting: Setting) -> Path:
    return pyinfra_inventory(setting.fleet, setting.hosts, setting.known_hosts, setting.directory / "pyinfra_hosts.py")


def _control(setting: Setting, tool: str) -> Path:
    """A short path: a socket's name may have 108 bytes, of which OpenSSH's %C takes 40 and a suffix 17."""
    path = setting.directory / tool
    path.mkdir(exist_ok=True)
    return path
