"""What a simulated engine has outside itself: when its process began, its worker processes, the VRAM that it holds."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

VRAM_BYTES_PER_GPU = 192 * 1024**3
"""MI300X."""

_KILL_AFTER_S = 1.0


def process_age_s() -> float:
    """Seconds since this process was started, its imports included; 0 where the system does not say."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_s)
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


class HeldVram:
    """A file per GPU, `<gpu>.<pid>` holding "<bytes> <pid>", that the nodes' amd-smi stand-in reads."""

    def __init__(self, directory: str | None, gpus: Sequence[int], share: float) -> None:
        self._files: list[Path] = []
        if directory is None:
            return
        root = Path(directory)
        root.mkdir(parents=True, exist_ok=True)
        for gpu in gpus:
            file = root / f"{gpu}.{os.getpid()}"
            file.write_text(f"{int(VRAM_BYTES_PER_GPU * share)} {os.getpid()}\n")
            self._files.append(file)

    def release(self) -> None:
        for file in self._files:
            file.unlink(missing_ok=True)


class Workers:
    """Worker processes; the death of one is the death of the engine core."""

    def __init__(self) -> None:
        self._processes: list[asyncio.subprocess.Process] = []

    async def start(self, count: int, *, stubborn: bool) -> None:
        script = str(Path(__file__).with_name("engine_worker.py"))
        for _ in range(count):
            arguments = [sys.executable, "-S", script, *(["stubborn"] if stubborn else [])]
            process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
            self._processes.append(process)
            assert process.stdout is not None
            await process.stdout.readline()

    async def first_death(self) -> int:
        """Wait until one of them ends; its pid. Waits for ever when there are none."""
        if not self._processes:
            await asyncio.Event().wait()
        waits = {asyncio.ensure_future(process.wait()): process.pid for process in self._processes}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return waits[next(iter(done))]

    async def stop(self) -> None:
        """SIGTERM, a moment, SIGKILL."""
        for process in self._processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                async with asyncio.timeout(_KILL_AFTER_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
