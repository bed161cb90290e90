"""Containers of ours on a lab host, through its sshd and sudo as an operator has them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from pdctl.model.role import UnitKind
from pdctl.model.unit import Labels, Restart, UnitSpec, UnitState, UnitStatus
from pdctl.ssh.sudo import SudoShell
from pdctl.supervisors.docker import DockerSupervisor
from pdctl.supervisors.docker_records import Containers
from tests.lab.docker_image import IMAGE, container_cli, import_image
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd
from tests.lab.systemd_rig import operator
from tests.waiting import wait_until

ENGINE = "n1.all.0"
PYTHON = "/usr/bin/python3"
ROOT = "/var/lib/pdctl"
IMAGES = dict.fromkeys(UnitKind, IMAGE)


@dataclass(frozen=True, slots=True)
class DockerRig:
    """One host and its supervisor for one cluster, whose name is the test's own."""

    host: LabHost
    cluster: str
    supervisor: DockerSupervisor
    program: str = "docker"

    def spec(
        self, script: str, instance: str = ENGINE, *, generation: int = 1, gpus: tuple[int, ...] = (0,),
        stop_s: float = 5.0,
    ) -> UnitSpec:  # fmt: skip
        """An engine that runs `script` with /bin/sh."""
        labels = Labels(
            self.cluster, instance, generation, f"hash{generation}", UnitKind.ENGINE, "decode", "decode", gpus
        )
        return UnitSpec(labels, ("/bin/sh", "-c", script), {}, Restart.NEVER, stop_s)

    def python(self, script: str, instance: str = ENGINE, *, stop_s: float = 5.0) -> UnitSpec:
        """An engine that runs `script` with the image's Python."""
        return replace(self.spec("", instance, stop_s=stop_s), argv=(PYTHON, "-IS", "-c", script))

    def router(self, script: str) -> UnitSpec:
        """A router that runs `script` with /bin/sh."""
        labels = Labels(self.cluster, UnitKind.ROUTER.value, 1, "hash", UnitKind.ROUTER)
        return UnitSpec(labels, ("/bin/sh", "-c", script), {}, Restart.ALWAYS, 5.0)

    def unit(self, instance: str = ENGINE) -> str:
        return f"pdctl.{self.cluster}.{instance}"

    async def docker(self, *arguments: str) -> str:
        return await container_cli(self.host, self.program, *arguments)

    async def shown(self, instance: str = ENGINE) -> dict[str, Any]:
        """What `docker inspect` shows to everybody who may run docker."""
        found: list[dict[str, Any]] = json.loads(await self.docker("inspect", self.unit(instance)))
        return found[0]

    async def names(self) -> set[str]:
        """Every container of the host, ended ones too, whoever's it is."""
        return set((await self.docker("ps", "--all", "--format", "{{.Names}}")).split())

    async def foreign(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Run a container that is none of ours, with these labels."""
        words = [f"--label={key}={value}" for key, value in (labels or {}).items()]
        await self.docker("run", "--detach", f"--name={name}", "--network=host", *words, IMAGE, "sleep", "600")

    async def status_of(self, name: str) -> str:
        return (await self.docker("inspect", "--format", "{{.State.Status}}", name)).strip()

    async def seen(self, instance: str = ENGINE) -> UnitStatus:
        view = await self.supervisor.inspect()
        return next(status for status in view.units if status.labels.instance == instance)

    async def ended(self, instance: str = ENGINE) -> UnitStatus:
        """The unit, once it has ended."""

        async def over() -> bool:
            return (await self.seen(instance)).state in (UnitState.EXITED, UnitState.FAILED)

        await wait_until(over, 15, what=f"{instance} ends", poll_s=0.05)
        return await self.seen(instance)

    async def says(self, text: str, instance: str = ENGINE) -> None:
        """Wait until the unit has printed `text`."""

        async def said() -> bool:
            return text in await self.docker("logs", self.unit(instance))

        await wait_until(said, 15, what=f"{text!r} in the log", poll_s=0.05)

    async def processes(self, instance: str = ENGINE) -> list[int]:
        """Pids, as the host sees them, of what carries the unit's mark."""
        mark = f"PDCTL_UNIT={self.unit(instance)}"
        script = f"grep -lzx '{mark}' /proc/[0-9]*/environ 2>/dev/null || true"
        found = await self.host.run("/bin/sh", "-c", script)
        return sorted(int(number) for number in re.findall(r"/proc/(\d+)/", found))

    async def main(self, instance: str = ENGINE) -> int:
        """The pid of the main process, below the container's init."""
        init = (await self.shown(instance))["State"]["Pid"]
        return int((await self.host.run("cat", f"/proc/{init}/task/{init}/children")).split()[0])

    async def kill(self, *pids: int) -> None:
        await self.host.run("kill", "-KILL", *map(str, pids))

    async def files(self) -> list[str]:
        """What lies in the cluster's directory, directories aside."""
        return (await self.host.run("find", f"{ROOT}/{self.cluster}", "-not", "-type", "d", "-printf", "%P\n")).split()


@asynccontextmanager
async def docker_lab(hosts: int = 1) -> AsyncIterator[Lab]:
    """A lab whose hosts have docker and the lab's image."""
    async with Lab(hosts, Systemd(docker=True, disk="3g")) as lab:
        for host in lab.hosts.values():  # one after the other: each reads the whole image
            await import_image(host)
        yield lab


@asynccontextmanager
async def docker_rig(
    lab: Lab, cluster: str, *, made_from: Containers | None = None, program: str = "docker"
) -> AsyncIterator[DockerRig]:
    """A rig on the lab's first host; every container on it is removed at the end."""
    host = lab.hosts["h1"]
    async with operator(lab) as shell:
        supervisor = DockerSupervisor(
            SudoShell(shell), cluster, root=ROOT, stop_budget_s=10.0, made_from=made_from or Containers(IMAGES)
        )
        try:
            yield DockerRig(host, cluster, supervisor, program)
        finally:
            remove = f"{program} ps --all --quiet | xargs --no-run-if-empty {program} rm --force"
            await host.run("/bin/sh", "-c", remove)
