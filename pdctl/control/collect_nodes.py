"""Collect from many nodes at once: one exec each; what one does never delays or spoils another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from pdctl.control.clock import Clock
from pdctl.errors import NodeError
from pdctl.health.collect import collect
from pdctl.health.collection import Profile, Targets, collection
from pdctl.health.envelope import Envelope
from pdctl.model.deployment import Deployment
from pdctl.model.observed import Trouble
from pdctl.model.role import SupervisorKind
from pdctl.ssh.ports import Shells

Collected: TypeAlias = Envelope | Trouble

Arrived = Callable[[str, Collected], None]
"""Told each node's envelope, or why there is none, as it comes."""


async def collect_nodes(
    deployment: Deployment,
    shells: Shells,
    clock: Clock,
    nodes: Iterable[str],
    *,
    profile: Profile = Profile.FULL,
    arrived: Arrived = lambda node, answer: None,
) -> Mapping[str, Collected]:
    """An envelope of every node, or why there is none."""
    order = collection(profile, targets(deployment))

    async def one(node: str) -> Collected:
        answer: Collected
        try:
            answer = await collect(shells.shell(node), order, now=clock.time)
        except NodeError as error:
            answer = Trouble(error.cause, error.hint, error.exit_code)
        arrived(node, answer)
        return answer

    names = list(nodes)
    return dict(zip(names, await asyncio.gather(*(one(name) for name in names)), strict=True))


def targets(deployment: Deployment) -> Targets:
    """What the inventory has nodes looked at for."""
    docker = deployment.engine.supervisor is SupervisorKind.DOCKER
    state = deployment.state_dir or ""
    return Targets(
        model_path=deployment.model.path,
        image=(deployment.engine.image or "") if docker else "",
        paths=tuple(path for path in (state,) if path.startswith("/")),
    )
