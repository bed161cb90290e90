"""A command on this machine whose caller gives up while it is being started."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pdctl.ssh.local import LocalShell
from tests.waiting import wait_until
from tests.wire.ssh_server import living_with_argument


@pytest.mark.parametrize("turns", [1, 2, 3, 4, 6])
async def test_a_start_that_is_cancelled_ends_at_once_and_leaves_no_process(turns: int) -> None:
    """After so many turns of the loop: some fall between the process and its pipes."""
    mark = f"600.0{turns}"
    started = asyncio.create_task(LocalShell().run(["sleep", mark], deadline_s=60.0))
    for _ in range(turns):
        await asyncio.sleep(0)
    started.cancel()
    async with asyncio.timeout(20.0):
        with contextlib.suppress(asyncio.CancelledError):
            await started
    await wait_until(lambda: not living_with_argument(mark), 10.0, what="nothing runs on")
