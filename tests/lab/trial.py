"""Whether this machine can make the lab's hosts: one of each kind is made and used once, before the first test.

    python -m tests.lab.trial namespaces|systemd|docker

Says nothing and ends with 0 where it can; else the last line of stderr is why not. A machine may refuse any of it (no
mounts in a container, no cgroups to write to, an interpreter too new for the hosts' C library), and every test of that
kind would find out for itself, after all of its deadlines.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tests.lab.cheap import Cheap
from tests.lab.command import LabError
from tests.lab.docker_image import IMAGE, container_cli, import_image
from tests.lab.host import LabHost
from tests.lab.lab import Kind, Lab
from tests.lab.nspawn import Systemd
from tests.lab.site import CHECKOUT

_DEADLINE_S = 1200.0  # the root of the systemd hosts may have to be made first
_ENGINE = (sys.executable, "-m", "pdctl.sim.engine", "--help")


class Part(StrEnum):
    """Of the lab: a kind of host. Also the mark of the tests that need it."""

    NAMESPACES = "namespaces"
    SYSTEMD = "systemd"
    DOCKER = "docker"
    PODMAN = "podman"


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried for a part, once the part below it is known to work."""

    hosts: str
    kind: Kind
    below: Part | None


_TRIALS = {
    Part.NAMESPACES: Trial("hosts in namespaces", Cheap(), None),
    Part.SYSTEMD: Trial("hosts with systemd as PID 1", Systemd(), Part.NAMESPACES),
    Part.DOCKER: Trial("hosts with docker", Systemd(docker=True, disk="3g"), Part.SYSTEMD),
    Part.PODMAN: Trial("hosts with podman", Systemd(podman=True, disk="3g"), Part.SYSTEMD),
}


def parts_lacking(wanted: Iterable[Part]) -> dict[Part, str]:
    """Of the `wanted` parts and those below them, the ones that this machine cannot do, each with the reason."""
    reasons: dict[Part, str] = {}
    for part in wanted:
        _try(part, reasons)
    return {part: why for part, why in reasons.items() if why}


def _try(part: Part, reasons: dict[Part, str]) -> str:
    if part not in reasons:
        below = _TRIALS[part].below
        reasons[part] = (below is not None and _try(below, reasons)) or _tried(part)
    return reasons[part]


def _tried(part: Part) -> str:
    try:
        tried = subprocess.run(
            [sys.executable, "-m", "tests.lab.trial", part.value],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
        )
    except subprocess.TimeoutExpired:
        return f"this machine makes no {_TRIALS[part].hosts}: not within {_DEADLINE_S:g} s"
    said = tried.stderr.strip().splitlines() or [f"status {tried.returncode}"]
    return f"this machine makes no {_TRIALS[part].hosts}: {said[-1]}" if tried.returncode else ""


async def main(part: Part) -> None:
    """Make one host of the kind, and use of it what the tests use. Raises LabError or OSError."""
    async with Lab(1, _TRIALS[part].kind) as lab:
        host = lab.hosts["h1"]
        await host.run(*_ENGINE)
        if part in (Part.DOCKER, Part.PODMAN):
            await _container(host, part.value)


async def _container(host: LabHost, program: str) -> None:
    await import_image(host, program=program)
    limits = ("--network=host", "--ulimit=memlock=-1", "--cap-add=IPC_LOCK")
    await container_cli(host, program, "run", "--rm", *limits, IMAGE, *_ENGINE)


if __name__ == "__main__":
    try:
        asyncio.run(main(Part(sys.argv[1])))
    except (LabError, OSError, TimeoutError, AssertionError) as exc:
        sys.exit(" ".join(str(exc).split()) or type(exc).__name__)
