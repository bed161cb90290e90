"""Hosts that are directories, collected from as nodes are: envelopes of a fleet without a lab."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pdctl.health.collect import collect
from pdctl.health.collection import Collection, Profile, Targets, collection
from pdctl.health.envelope import Envelope
from pdctl.sim.standins.host import Shape, fleet
from pdctl.ssh.local import LocalShell

TARGETS = Targets(paths=("/models",), interval_s=0.02)
AT_ONCE = 3
TOOL_S = 4.0


def hurried(order: Collection) -> Collection:
    """Tools of shell have no need of ten seconds, and a test that waits for one that hangs has no time for them."""
    return replace(order, commands=tuple(replace(command, timeout_s=TOOL_S) for command in order.commands))


async def envelopes(directory: Path, count: int, *shapes: Shape) -> Mapping[str, Envelope]:
    """Envelopes of n1 … n<count>: of the given shapes by name, healthy else. Each is a tree below `directory`."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> Envelope:
        name = f"n{number + 1}"
        root = directory / name
        tools = hosts[number].install(root)
        order = hurried(collection(Profile.FULL, TARGETS, root=str(root), path=str(tools)))
        async with turns:
            return await collect(LocalShell(name), order, now=time.time)

    hosts = fleet(count, *shapes)
    found: Sequence[Envelope] = await asyncio.gather(*(one(number) for number in range(count)))
    return {envelope.node: envelope for envelope in found}
