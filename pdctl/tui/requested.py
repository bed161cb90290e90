"""What is asked for, in words, and the pools there are to choose from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pdctl.control.move_edit import SPARE
from pdctl.control.request import DrainRequest, MoveRequest, Request, RestartRequest, UndrainRequest
from pdctl.model.deployment import Deployment
from pdctl.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class PoolChoice:
    """One pool to move to. `serving` None: not known. `floor`: instances it must keep. `here`: all of it is there."""

    name: str
    role: str
    instances: int
    serving: int | None
    floor: int
    here: bool = False

    @property
    def text(self) -> str:
        if self.name == SPARE:
            return f"{self.name:<16} spare: its engines stop, and nothing takes their place"
        serving = "?" if self.serving is None else str(self.serving)
        here = "  here" if self.here else ""
        return f"{self.name:<16} {self.role:<8} {serving:>3} of {self.instances:<3} serving  floor {self.floor}{here}"


def pool_choices(deployment: Deployment, shown: Snapshot | None, selectors: Sequence[str]) -> list[PoolChoice]:
    """The pools of the inventory, as they are now; `here` where everything that is selected is in it."""
    now = pools_of(deployment, selectors)
    choices = []
    for pool in deployment.pools.values():
        instances = sum(1 for instance in deployment.instances if instance.pool == pool.name)
        figures = shown.pools.get(pool.name) if shown is not None else None
        serving = None if figures is None else figures.members
        choices.append(
            PoolChoice(pool.name, pool.role.value, instances, serving, pool.min_instances, now == {pool.name})
        )
    if now != {None}:
        choices.append(PoolChoice(SPARE, "spare", 0, None, 0))
    return choices


def pools_of(deployment: Deployment, selectors: Sequence[str]) -> set[str | None]:
    """The pools that the selected slots are in; None for a spare."""
    return {slot.pool for slot in deployment.slots if slot.id in selectors or slot.node in selectors}


def verb(request: Request) -> str:
    """The command's name."""
    match request:
        case MoveRequest():
            return "move"
        case DrainRequest():
            return "drain"
        case UndrainRequest():
            return "undrain"
        case RestartRequest():
            return "restart"


def title(request: Request) -> str:
    """`Move n5 to prefill`."""
    to = f" to {request.to}" if isinstance(request, MoveRequest) else ""
    return f"{verb(request).capitalize()} {', '.join(request.selectors)}{to}"
