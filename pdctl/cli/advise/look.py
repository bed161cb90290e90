"""The live figures that an advice goes by."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from pdctl.cli.global_options import Globals
from pdctl.cli.session import read
from pdctl.control.opened import Opened
from pdctl.control.watch import watching
from pdctl.errors import TooThin
from pdctl.model.deployment import Deployment
from pdctl.model.snapshot import Snapshot

TICK_S: Final = 1.0


def look(options: Globals, for_s: float, judge: Callable[[Sequence[Snapshot], Deployment], None]) -> int:
    """Watch the cluster for `for_s` seconds and let `judge` say what comes of it. Returns the exit code."""

    async def act(opened: Opened) -> int:
        judge(await _ticks(opened, for_s), opened.deployment)
        return 0

    return read(options, act)


async def _ticks(opened: Opened, for_s: float) -> list[Snapshot]:
    seen: list[Snapshot] = []
    async with watching(opened.cluster, interval_s=TICK_S) as watch:
        ticks = watch.snapshots()
        with contextlib.suppress(TimeoutError, StopAsyncIteration):
            async with asyncio.timeout(for_s):
                while True:
                    seen.append(await anext(ticks))
    if not seen:
        raise TooThin(
            f"nothing was seen within {for_s:g} s", hint="look for longer: --for 1m; `pdctl status` tells more"
        )
    return seen
