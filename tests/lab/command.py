"""Runs one command of the lab's own set-up, and fails with what it printed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class LabError(Exception):
    """The lab itself could not be built or used; no verdict on the code under test."""


async def run(argv: Sequence[str], *, stdin: bytes = b"", deadline_s: float = 60.0) -> str:
    """The command's standard output. Raises LabError where it fails or takes longer."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(stdin), deadline_s)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise LabError(f"longer than {deadline_s:g} s: {' '.join(argv)}") from None
    if process.returncode != 0:
        text = (stderr or stdout).decode(errors="replace").strip()
        raise LabError(f"{' '.join(argv)}: status {process.returncode}: {text[-2000:]}")
    return stdout.decode(errors="replace")
