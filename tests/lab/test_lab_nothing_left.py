"""Nothing of a lab outlives its owner, however that ends: no process, namespace, mount, link, cgroup or file."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.lab.site import CHECKOUT

pytestmark = pytest.mark.docker

_KINDS = ("net", "mnt", "pid", "uts", "ipc", "cgroup")
_GONE_S = 10.0


@dataclass(frozen=True, slots=True)
class Owned:
    """A lab of another process: what belongs to it while it runs. Other labs may come and go meanwhile."""

    process: subprocess.Popen[str]
    keeper: int
    cgroup: str
    directory: Path
    members: frozenset[psutil.Process]
    namespaces: frozenset[str]
    seen_s: float
    mounts: str
    links: frozenset[str]

    def _holders(self) -> list[psutil.Process]:
        """Every process in a namespace of the lab's. The kernel gives a dead namespace's number to the next one, so a
        process that is younger than the look at the lab holds another lab's."""
        return [
            process
            for process in psutil.process_iter()
            if _namespaces(process.pid) & self.namespaces and _created_s(process) < self.seen_s
        ]

    def left(self) -> list[str]:
        """What there still is of it, in words."""
        alive = [f"process {process}" for process in self.members if process.is_running()]
        held = [f"{process} in its namespaces" for process in self._holders()]
        groups = [f"cgroup {path}" for path in _cgroups(self.cgroup)]
        mounts = [f"mount {line}" for line in _mounts().splitlines() if line not in self.mounts]
        links = [f"link {name}" for name in _links() - self.links]
        files = [f"directory {self.directory}"] if self.directory.exists() else []
        return [*alive, *held, *groups, *mounts, *links, *files]


@contextlib.contextmanager
def owned() -> Iterator[Owned]:
    """A lab with a systemd host, docker on it, a stubborn unit, a cheap host, and a relay in its link."""
    mounts, links = _mounts(), _links()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.lab.owner"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            members = frozenset(psutil.Process(process.pid).children(recursive=True))
            ours = _namespaces(os.getpid())
            theirs = set().union(*(_namespaces(member.pid) for member in members)) - ours
            lab = Owned(
                process,
                said["keeper"],
                said["cgroup"],
                Path(said["directory"]),
                members,
                frozenset(theirs),
                time.time(),
                mounts,
                links,
            )
            # All of it is seen, or its absence would prove nothing.
            assert {"dockerd", "sshd", "systemd", "systemd-nspawn"} <= {member.name() for member in members}
            assert len(theirs) > 2 * len(_KINDS)
            assert _cgroups(lab.cgroup)
            assert lab.directory.exists()
            yield lab
        finally:
            process.kill()


def ends(lab: Owned) -> None:
    assert lab.process.stdin is not None
    lab.process.stdin.close()


def fails(lab: Owned) -> None:
    assert lab.process.stdin is not None
    lab.process.stdin.write("fail")
    lab.process.stdin.close()


def is_killed(lab: Owned) -> None:
    lab.process.kill()


def is_interrupted(lab: Owned) -> None:
    lab.process.send_signal(signal.SIGINT)
    ends(lab)


@pytest.mark.parametrize("death", [ends, fails, is_killed, is_interrupted])
def test_the_owner(death: Callable[[Owned], None]) -> None:
    with owned() as lab:
        death(lab)
        lab.process.wait(_GONE_S)
        assert _left_after(lab, _GONE_S) == []


def test_the_keeper_is_killed() -> None:
    """Then nobody can remove the empty cgroups and the directory, but all that runs is gone."""
    with owned() as lab:
        os.kill(lab.keeper, signal.SIGKILL)
        end = time.monotonic() + _GONE_S
        while alive := [member for member in lab.members if _runs_in(member, lab.namespaces)]:
            assert time.monotonic() < end, alive
            time.sleep(0.05)
        ends(lab)
    for path in _cgroups(lab.cgroup):
        for below, _, _ in os.walk(path, topdown=False):
            Path(below).rmdir()
    subprocess.run(["rm", "-rf", str(lab.directory)], check=True)


def _left_after(lab: Owned, deadline_s: float) -> list[str]:
    end = time.monotonic() + deadline_s
    while (left := lab.left()) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _runs_in(process: psutil.Process, namespaces: frozenset[str]) -> bool:
    """Whether it still lives in a namespace of the lab's; a zombie has none any more."""
    return process.is_running() and bool(_namespaces(process.pid) & namespaces)


def _created_s(process: psutil.Process) -> float:
    """Unix time of its start; infinity for one that is gone."""
    try:
        return process.create_time()
    except psutil.NoSuchProcess:
        return math.inf


def _namespaces(pid: int) -> set[str]:
    found = set()
    for kind in _KINDS:
        with contextlib.suppress(OSError):
            found.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    return found


def _cgroups(name: str) -> list[Path]:
    root = Path("/sys/fs/cgroup")
    return [path for path in (root / name, *root.glob(f"*/{name}")) if path.exists()]


def _mounts() -> str:
    """This machine's mounts of the kinds that a lab makes; others may come and go."""
    lines = Path("/proc/self/mounts").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if any(place in line for place in ("/run/lab", "/run/netns", "pdctl-lab-")))


def _links() -> frozenset[str]:
    """This machine's links of the names that a lab makes."""
    names = {path.name for path in Path("/sys/class/net").iterdir()}
    return frozenset(names & {"br0", "v1", "v2"})
