"""The splits that a fleet can have: how many instances of each GPU kind read prompts, and how many write."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pdctl.model.role import Role
from pdctl.perf.layout import InstanceModel, Layout, Placement, Policy, TransferModel


@dataclass(frozen=True, slots=True)
class Kind:
    """`count` equal instances. `model` holds their constants and limits; its role is set per split. `mixed` are the
    limits of a colocated instance where they differ (another chunk of prompt tokens, say)."""

    name: str
    count: int
    model: InstanceModel
    mixed: InstanceModel | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """What there is to split. Floors count instances of a role."""

    kinds: tuple[Kind, ...]
    transfer: TransferModel
    policy: Policy = Policy.RANDOM
    prefill_floor: int = 1
    decode_floor: int = 1

    @property
    def instances(self) -> int:
        return sum(kind.count for kind in self.kinds)


@dataclass(frozen=True, slots=True)
class Split:
    """`prefill`: instances of each kind that read prompts; the others write. None: all are colocated."""

    prefill: Mapping[str, int] | None
    layout: Layout
    words: str

    @property
    def colocated(self) -> bool:
        return self.prefill is None


MIXED_PLACEMENT: Final = Placement.RANDOM
"""Colocated instances of DP ranks place sequences as if at random: so the published runs are met best."""


def splits(fleet: Fleet, *, colocated: bool = True) -> tuple[Split, ...]:
    """Every split above the floors, fewest prefill instances first; then the colocated one."""
    found = []
    for counts in itertools.product(*(range(kind.count + 1) for kind in fleet.kinds)):
        reading = sum(counts)
        if reading >= fleet.prefill_floor and fleet.instances - reading >= fleet.decode_floor:
            found.append(split_of(fleet, {kind.name: n for kind, n in zip(fleet.kinds, counts, strict=True)}))
    found.sort(key=lambda split: sum((split.prefill or {}).values()))
    return (*found, mixed(fleet)) if colocated else tuple(found)


def split_of(fleet: Fleet, prefill: Mapping[str, int]) -> Split:
    """The split with that many prefill instances of each kind. Raises ValueError where one role is left empty."""
    instances = tuple(_instances(fleet.kinds, prefill))
    layout = Layout(instances, fleet.transfer, fleet.policy)
    return Split(dict(prefill), layout, _words(fleet.kinds, prefill))


def mixed(fleet: Fleet) -> Split:
    """All instances colocated."""
    models = [
        replace(kind.mixed or kind.model, role=Role.MIXED, placement=MIXED_PLACEMENT)
        for kind in fleet.kinds
        for _ in range(kind.count)
    ]
    return Split(None, Layout(tuple(models), fleet.transfer, fleet.policy), f"{fleet.instances}M")


def _instances(kinds: Sequence[Kind], prefill: Mapping[str, int]) -> Iterator[InstanceModel]:
    for role in (Role.PREFILL, Role.DECODE):
        for kind in kinds:
            reading = prefill.get(kind.name, 0)
            count = reading if role is Role.PREFILL else kind.count - reading
            yield from itertools.repeat(replace(kind.model, role=role), count)


def _words(kinds: Sequence[Kind], prefill: Mapping[str, int]) -> str:
    """`2P3D`; in a mixed fleet `2P3D (P: 2 mi325x; D: 3 mi300x)`."""
    reading = sum(prefill.values())
    words = f"{reading}P{sum(kind.count for kind in kinds) - reading}D"
    if len(kinds) == 1:
        return words
    sides = {
        "P": [(prefill.get(kind.name, 0), kind.name) for kind in kinds],
        "D": [(kind.count - prefill.get(kind.name, 0), kind.name) for kind in kinds],
    }
    said = (f"{side}: {', '.join(f'{n} {name}' for n, name in part if n)}" for side, part in sides.items())
    return f"{words} ({'; '.join(said)})"
