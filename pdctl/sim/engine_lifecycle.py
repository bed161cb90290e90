"""How a simulated engine ends: SIGTERM with or without a drain, or the death of its core.

As with vLLM 0.33 (launchers/launcher.py) the HTTP port stays open and /health 200 while requests and pinned KV drain,
and a second signal is ignored.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Generator

from uvicorn import Server

from pdctl.sim.engine_core import EngineCore
from pdctl.sim.engine_log import EngineLog
from pdctl.sim.faults import Faults

DEATH_LINGER_S = 2.0
"""A real engine whose core died answers 503 for some seconds before it is gone (7 s were seen)."""


class QuietServer(Server):
    """uvicorn's server without its own signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class StopSignal:
    """The first SIGTERM or SIGINT; later ones change nothing. With the fault ignore_sigterm none does."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.seen = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if "ignore_sigterm" not in self._faults:
            self.seen.set()


async def stop_on_signal(
    stop: StopSignal, core: EngineCore, server: Server, log: EngineLog, shutdown_timeout_s: float
) -> None:
    """Wait for the signal, drain for up to `shutdown_timeout_s` (0: not at all), abort the rest, end the server."""
    await stop.seen.wait()
    mode = "drain" if shutdown_timeout_s > 0 else "abort"
    log.info("launcher.py:254", "[shutdown] API server: shutdown triggered")
    log.info(
        "launcher.py:270",
        f"[shutdown] API server: stopping engine client mode={mode} timeout={shutdown_timeout_s:.0f}s",
    )
    core.draining = True
    if shutdown_timeout_s > 0:
        count = core.unfinished
        log.info(
            "core.py:1655",
            f"[shutdown] EngineCore: draining in-flight requests count={count} timeout={shutdown_timeout_s:.0f}s",
        )
        await core.wait_idle(shutdown_timeout_s)
    core.abort_all()
    log.info("core.py:1666", "[shutdown] EngineCore: request processing complete; starting resource teardown")
    log.info("launcher.py:282", "[shutdown] API server: signalling HTTP server shutdown")
    server.should_exit = True


async def stop_on_death(core: EngineCore, server: Server, log: EngineLog) -> None:
    """Wait for the core's death, answer 503 for a moment, end the server."""
    await core.died.wait()
    log.error("core.py:1262", "EngineCore encountered a fatal error.")
    log.traceback("core.py:1262", str(core.cause_of_death), ("vllm/v1/engine/core.py:1253 run_engine_core",))
    await asyncio.sleep(DEATH_LINGER_S)
    server.should_exit = True


def crash_when_told(faults: Faults, log: EngineLog) -> None:
    """Fault `crash`: no clean-up of any kind."""

    def check() -> None:
        if "crash" in faults:
            log.error("engine.py:0", "!!!!!!! Segfault encountered !!!!!!!")
            os._exit(1)

    faults.subscribe(check)
    check()
