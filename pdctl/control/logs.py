"""`logs`: the logs of one or several units, merged as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from pdctl.control.cluster import Cluster
from pdctl.errors import PdctlError, UsageError
from pdctl.model.observed import Trouble
from pdctl.model.unit import unit_name
from pdctl.plan.steps import REGISTRAR, ROUTER
from pdctl.supervisors.ports import LogLine, Supervisor

Sources = Sequence[tuple[str, Supervisor]]
Heard = tuple[str, LogLine | Trouble]
"""A unit's name and its next line, or why no further line of it can be read."""


def sources(cluster: Cluster, names: Sequence[str]) -> list[tuple[str, Supervisor]]:
    """The parts behind instance names, `router` and `registrar`. Raises UsageError for a name that is none of them."""
    found: list[tuple[str, Supervisor]] = []
    instances = {instance.name: instance for instance in cluster.deployment.instances}
    for name in names:
        if name in (ROUTER, REGISTRAR):
            found.append((name, cluster.routing))
        elif name in instances:
            found += [(part.name, cluster.engines[part.node]) for part in instances[name].parts]
        else:
            known = ", ".join([*instances, ROUTER, REGISTRAR])
            raise UsageError(f"{name} is no instance of {cluster.deployment.cluster}", hint=f"known: {known}")
    return found


async def logs(cluster: Cluster, units: Sources, *, lines: int, follow: bool) -> AsyncIterator[Heard]:
    """The lines of all units. Without `follow` one unit after another; with it, in the order of arrival.

    A unit whose log cannot be read ends with the trouble that says why; the others go on.
    """
    if not follow:
        for name, supervisor in units:
            async for line in _one(cluster, name, supervisor, lines, follow=False):
                yield name, line
        return
    queue: asyncio.Queue[Heard | None] = asyncio.Queue(maxsize=1000)
    tasks = [asyncio.create_task(_feed(cluster, name, supervisor, lines, queue)) for name, supervisor in units]
    open_ends = len(tasks)
    try:
        while open_ends:
            item = await queue.get()
            if item is None:
                open_ends -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _feed(
    cluster: Cluster,
    name: str,
    supervisor: Supervisor,
    lines: int,
    queue: asyncio.Queue[Heard | None],
) -> None:
    async for line in _one(cluster, name, supervisor, lines, follow=True):
        await queue.put((name, line))
    await queue.put(None)


async def _one(
    cluster: Cluster, name: str, supervisor: Supervisor, lines: int, *, follow: bool
) -> AsyncIterator[LogLine | Trouble]:
    unit = unit_name(cluster.deployment.cluster, name)
    try:
        async with supervisor.logs(unit, lines=lines, follow=follow) as stream:
            async for line in stream:
                yield line
    except PdctlError as error:
        yield Trouble(error.message, error.hint, error.exit_code)
