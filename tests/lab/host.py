"""A host of the lab, once it is up: how to look inside, and what can be done to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.lab import network
from tests.lab.command import LabError, run
from tests.lab.linux import enter, program, same_pid_namespace
from tests.lab.network import Port
from tests.waiting import wait_until


class Machine(Protocol):
    """What a host runs on: something that can be switched on and off."""

    async def boot(self) -> int:
        """Switch on; the pid of the host's PID 1, as this process sees it. Returns before sshd serves."""
        ...

    async def ready(self) -> None:
        """Return when its PID 1 has started all that it starts at boot. Raises LabError where some of it failed."""
        ...

    async def power_off(self) -> None:
        """Take the power away: nothing in it hears of it. Returns when nothing of it runs any more."""
        ...

    async def gone(self) -> None:
        """Return when nothing of it runs any more, from whatever cause."""
        ...

    def pid(self) -> int | None:
        """The pid of its present PID 1; None while it is down."""
        ...


@dataclass(slots=True)
class LabHost:
    """One host. `address` is reachable in the lab's network only; log in as `user` with the lab's key."""

    name: str
    port: Port
    user: str
    host_key: str  # "type base64"
    machine: Machine
    log: Path  # what its console said
    init: int  # the lab's PID 1, seen from outside
    ssh_port: int = 22
    _relay: network.Relay | None = None

    @property
    def address(self) -> str:
        return self.port.address

    @property
    def pid(self) -> int:
        """The pid of its PID 1 as seen from outside. Raises LabError while the host is down."""
        pid = self.machine.pid()
        if pid is None:
            raise LabError(f"{self.name} is down: {self.console()}")
        return pid

    def path(self, inside: str) -> Path:
        """A path of the host's file system, as this process reaches it."""
        return Path(f"/proc/{self.pid}/root", inside.lstrip("/"))

    async def run(self, *argv: str, stdin: bytes = b"", deadline_s: float = 60.0) -> str:
        """Run a command on the host as root, past its sshd; its output. Raises LabError where it fails."""
        return await run([*enter(self.pid), *argv], stdin=stdin, deadline_s=deadline_s)

    def console(self) -> str:
        """The end of what the host said on its console."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    # Faults of the link.

    async def cut(self) -> None:
        """Pull the cable: both sides see the carrier go."""
        await network.cut(self.port)

    async def blackhole(self) -> None:
        """Drop everything both ways in silence."""
        await network.blackhole(self.port)

    async def heal(self) -> None:
        """Undo `cut` and `blackhole`."""
        await network.heal(self.port)

    async def delay(self, seconds: float) -> None:
        """Let every frame take so much longer, each way."""
        if self._relay is None:
            self._relay = await network.relayed(self.init, self.name, self.port)
        self._relay.delay(seconds)

    # Faults of its sshd.

    def sshds(self) -> list[int]:
        """The pids, seen from outside, of its sshd and of every session of it."""
        return [pid for pid in same_pid_namespace(self.pid) if program(pid).rpartition("/")[2].startswith("sshd")]

    def freeze_sshd(self) -> None:
        """Stop sshd and its sessions; the kernel still accepts connections for it."""
        self._signal_sshd(signal.SIGSTOP)

    def thaw_sshd(self) -> None:
        """Undo `freeze_sshd`."""
        self._signal_sshd(signal.SIGCONT)

    def kill_sshd(self) -> None:
        """Kill sshd and its sessions; what the sessions started lives on."""
        self._signal_sshd(signal.SIGKILL)

    def _signal_sshd(self, number: signal.Signals) -> None:
        for pid in self.sshds():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    # Faults of the machine.

    async def power_off(self) -> None:
        """A silent death: first nothing arrives any more, then everything on it is gone."""
        await self.blackhole()
        await self.machine.power_off()

    async def power_on(self) -> None:
        """Boot after `power_off`, with the same disk; returns when the host is up."""
        await self.machine.boot()
        await self.heal()
        await self.up()

    async def reboot(self) -> None:
        """Reboot a systemd host from inside, in order; returns when it is up again."""
        before = self.pid
        await self.run("systemctl", "reboot")
        await wait_until(lambda: self.machine.pid() not in (None, before), 60.0, what=f"{self.name} reboots")
        await self.up()

    async def gone(self) -> None:
        """Wait until nothing of it runs any more."""
        await self.machine.gone()
        if self._relay is not None:
            await self._relay.gone()

    async def up(self, deadline_s: float = 60.0) -> None:
        """Wait until the host has booted and its sshd greets."""
        await self.machine.ready()
        await wait_until(self._greets, deadline_s, what=f"sshd of {self.name} greets; its console: {self.console()}")

    async def _greets(self) -> bool:
        try:
            async with asyncio.timeout(2.0):
                reader, writer = await asyncio.open_connection(self.address, self.ssh_port)
                try:
                    return (await reader.read(4)) == b"SSH-"
                finally:
                    writer.close()
        except OSError:
            return False
