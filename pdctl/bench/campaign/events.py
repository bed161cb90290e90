"""What a comparison says beside what `up`, the measurement and `down` say themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pdctl.model.events import Event


@dataclass(frozen=True, slots=True)
class DeploymentBegan(Event):
    """Its turn. `left`: points that are not measured yet; with none it is not brought up."""

    event: ClassVar[str] = "deployment_began"
    deployment: str
    number: int
    deployments: int
    inventory: str
    layout: str
    points: int
    left: int


@dataclass(frozen=True, slots=True)
class DeploymentEnded(Event):
    """Its turn is over. `cause`: why not all of it was measured; `up`: it may still run, `hint` says what to do."""

    event: ClassVar[str] = "deployment_ended"
    deployment: str
    measured: int
    left: int
    took_s: float
    cause: str = ""
    hint: str = ""
    up: bool = False


@dataclass(frozen=True, slots=True)
class TakenOver(Event):
    """What ran on the nodes is taken down first, as the operator agreed to."""

    event: ClassVar[str] = "taken_over"
    cluster: str
    inventory: str
    running: tuple[str, ...]
