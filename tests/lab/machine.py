"""A machine that is a process: the one whose descendant is PID 1 of a host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Sequence

from tests.lab.command import LabError
from tests.lab.linux import descendant_init, enter
from tests.lab.site import Site
from tests.waiting import wait_until

_BOOT_S = 60.0
_GONE_S = 20.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class SpawnedMachine:
    """Runs `argv` in the lab's namespaces as the power supply of one host. `ready` waits for the end of its boot,
    given the pid of its PID 1. A reboot from inside may keep the process; PID 1 is another one then."""

    def __init__(
        self, site: Site, argv: Sequence[str], *, ready: Callable[[SpawnedMachine], Awaitable[None]] | None = None
    ) -> None:
        self.site = site
        self._argv = argv
        self._ready = ready
        self._process: asyncio.subprocess.Process | None = None

    async def boot(self) -> int:
        """Switch on; the pid of its PID 1. Raises LabError where it ends at once."""
        with self.site.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *enter(self.site.init, "mount", "pid", "ipc", "uts", "net"),
                *self._argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": _PATH, "UNIFIED_CGROUP_HIERARCHY": "yes"},
            )
        await wait_until(lambda: self._ended() or self.pid() is not None, _BOOT_S, what=f"{self.site.name} has a PID 1")
        pid = self.pid()
        if pid is None:
            raise LabError(f"{self.site.name} does not boot: {self.site.log.read_text(errors='replace')[-2000:]}")
        return pid

    async def ready(self) -> None:
        """Return when everything has started that starts at boot. Raises LabError where some of it failed."""
        if self._ready is not None:
            await self._ready(self)

    async def power_off(self) -> None:
        """Kill everything on it."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self.gone()

    async def gone(self) -> None:
        """Return when it has ended, from inside or out."""
        if self._process is not None:
            await asyncio.wait_for(self._process.wait(), _GONE_S)

    def pid(self) -> int | None:
        """The pid of its present PID 1, as this process sees it; None while it is down."""
        return None if self._process is None or self._ended() else descendant_init(self._process.pid)

    def _ended(self) -> bool:
        return self._process is None or self._process.returncode is not None
