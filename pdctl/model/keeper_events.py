"""What `watch --apply` and `watch --heal` say of themselves, between the events of the runs that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pdctl.model.events import Event


@dataclass(frozen=True, slots=True)
class KeeperEvent(Event):
    """Base of the events of whoever watches over a cluster."""


@dataclass(frozen=True, slots=True)
class KeepingBegan(KeeperEvent):
    """From now on the file is followed (`applies`), dead engines are relaunched (`heals`), and the ratio of the pools
    is watched (`auto`: "suggest" or "apply")."""

    event: ClassVar[str] = "keeping_began"
    inventory: str
    applies: bool
    heals: bool
    auto: str = ""


@dataclass(frozen=True, slots=True)
class InventoryChanged(KeeperEvent):
    """The file has new contents, and they are valid: they are applied next. `digest` is the sha256 of its bytes."""

    event: ClassVar[str] = "inventory_changed"
    inventory: str
    digest: str


@dataclass(frozen=True, slots=True)
class InventoryRejected(KeeperEvent):
    """The file has new contents that are no valid inventory: every problem, located. The last good one stays."""

    event: ClassVar[str] = "inventory_rejected"
    inventory: str
    digest: str
    cause: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApplyWaits(KeeperEvent):
    """What is to be done cannot be done now, and is tried again: somebody has the lease, or a node is out of reach."""

    event: ClassVar[str] = "apply_waits"
    cause: str
    hint: str
    again_s: float


@dataclass(frozen=True, slots=True)
class ApplyRefused(KeeperEvent):
    """The inventory was not applied, or not all of it, and is not tried again until it changes."""

    event: ClassVar[str] = "apply_refused"
    cause: str
    hint: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Healing(KeeperEvent):
    """A dead engine is about to be relaunched. Journaled first: it counts even if the watcher dies over it."""

    event: ClassVar[str] = "healing"
    subject: str
    slots: tuple[str, ...]
    cause: str


@dataclass(frozen=True, slots=True)
class Healed(KeeperEvent):
    """It serves again, in a new launch."""

    event: ClassVar[str] = "healed"
    subject: str
    cause: str


@dataclass(frozen=True, slots=True)
class HealFailed(KeeperEvent):
    """It was relaunched, and does not serve."""

    event: ClassVar[str] = "heal_failed"
    subject: str
    cause: str


@dataclass(frozen=True, slots=True)
class Quarantined(KeeperEvent):
    """It died again after it had been relaunched: its slots are held, until somebody takes the hold away."""

    event: ClassVar[str] = "quarantined"
    subject: str
    slots: tuple[str, ...]
    cause: str


@dataclass(frozen=True, slots=True)
class HealWaits(KeeperEvent):
    """A dead engine is left as it is, for now or for good, and why."""

    event: ClassVar[str] = "heal_waits"
    subject: str
    cause: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class RatioDecided(KeeperEvent):
    """What the rebalancing policy decided at one tick, and on which figures. `action`: "hold" or "move"; `target`: the
    ratio that would serve better, "" where none would."""

    event: ClassVar[str] = "ratio_decided"
    action: str
    ratio: str
    target: str
    reason: str
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class MoveSuggested(KeeperEvent):
    """The policy would move a slot now; whoever agrees runs `command`."""

    event: ClassVar[str] = "move_suggested"
    slot: str
    pool: str
    reason: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rebalancing(KeeperEvent):
    """The policy moves a slot: `pdctl move` follows, as if an operator had typed it."""

    event: ClassVar[str] = "rebalancing"
    slot: str
    pool: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rebalanced(KeeperEvent):
    """How the move that the policy began has ended."""

    event: ClassVar[str] = "rebalanced"
    slot: str
    pool: str
    exit_code: int
    cause: str = ""


@dataclass(frozen=True, slots=True)
class TrafficTurned(KeeperEvent):
    """The demo's clients send other requests from now on: so many tokens in and out, at that rate."""

    event: ClassVar[str] = "traffic_turned"
    isl: int
    osl: int
    rate_per_s: float
    seconds: float
