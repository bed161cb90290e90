"""Alerts reach somebody: a command is run, or a web address is posted to, for each one that is raised or clears.

Delivery never delays telemetry: what cannot be delivered in time is given up, and that is said once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pdctl.model.events import plain
from pdctl.telemetry.alerts import Change

DEADLINE_S: Final = 20.0
WAITING_MAX: Final = 100
"""Alerts that wait behind a slow receiver; more are dropped, the oldest first."""


@dataclass(slots=True)
class AlertDelivery:
    """`target`: a web address (http://, https://: JSON is posted), or a command for /bin/sh, which gets the JSON on
    stdin and the main words as PDCTL_ALERT_*. `failed` hears in words of what could not be delivered."""

    target: str
    cluster: str
    failed: Callable[[str], None]
    deadline_s: float = DEADLINE_S
    _waiting: list[dict[str, Any]] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, change: Change) -> None:
        """Deliver it soon."""
        state = "raised" if change.raised else "cleared"
        self._waiting.append({"cluster": self.cluster, "state": state, **plain(change.alert)})
        if len(self._waiting) > WAITING_MAX:
            del self._waiting[0]
            self.failed(f"an alert was dropped: {self.target} is too slow for them")
        self._idle.clear()
        self._more.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not self._waiting:
                self._idle.set()
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                alert = self._waiting.pop(0)
                why = await self._deliver(alert)
                if why:
                    self.failed(f"the alert {alert['id']} was not delivered: {why}")

    async def settle(self, within_s: float) -> None:
        """Wait until all are delivered or given up, for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._idle.wait()

    async def _deliver(self, alert: dict[str, Any]) -> str:
        """Why it could not be, or ""."""
        try:
            async with asyncio.timeout(self.deadline_s):
                if self.target.startswith(("http://", "https://")):
                    return await self._post(alert)
                return await self._run(alert)
        except TimeoutError:
            return f"no end in {self.deadline_s:g} s"
        except (OSError, ValueError) as error:
            return str(error)

    async def _post(self, alert: dict[str, Any]) -> str:
        import httpx  # most watches post nothing, and it costs 50 ms

        try:
            async with httpx.AsyncClient(timeout=self.deadline_s) as client:
                answer = await client.post(self.target, json=alert)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return str(error) or type(error).__name__
        return "" if answer.is_success else f"it answered {answer.status_code}"

    async def _run(self, alert: dict[str, Any]) -> str:
        words = {
            f"PDCTL_ALERT_{key.upper()}": str(alert[key]).replace("\0", "")
            for key in ("id", "state", "level", "subject", "cause")
        }
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            self.target,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **words, "PDCTL_ALERT_CLUSTER": self.cluster},
            start_new_session=True,
        )
        try:
            _, said = await process.communicate(json.dumps(alert).encode())
        finally:
            if process.returncode is None:
                # With what it started: a child that holds stderr open would keep us waiting for ever.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        last = said.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        return "" if process.returncode == 0 else f"it ended with {process.returncode}: {last}"
