"""The splits that a fleet can have: how many slots of each kind read prompts, and how many write."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pdctl.model.role import Role
from pdctl.perf.layout import InstanceModel, Layout, Policy, TransferModel


@dataclass(frozen=True, slots=True)
class Kind:
    """`count` slots of equal hardware, and the instances that one of them holds in each role: `(model,) * 2` where two
    fit. Their shapes, limits and constants may differ from role to role."""

    name: str
    count: int
    instances: Mapping[Role, tuple[InstanceModel, ...]]


@dataclass(frozen=True, slots=True)
class Fleet:
    """What there is to split. Floors count slots of a role."""

    kinds: tuple[Kind, ...]
    transfer: TransferModel
    policy: Policy = Policy.RANDOM
    prefill_floor: int = 1
    decode_floor: int = 1

    @property
    def slots(self) -> int:
        return sum(kind.count for kind in self.kinds)

    def without(self, name: str) -> Fleet:
        """With one slot of that kind less."""
        fewer = (replace(kind, count=kind.count - (kind.name == name)) for kind in self.kinds)
        return replace(self, kinds=tuple(fewer))


@dataclass(frozen=True, slots=True)
class Split:
    """`prefill`: slots of each kind that read prompts; the others write. None: all are colocated."""

    prefill: Mapping[str, int] | None
    layout: Layout
    words: str

    @property
    def colocated(self) -> bool:
        return self.prefill is None


def splits(fleet: Fleet) -> tuple[Split, ...]:
    """Every split above the floors, fewest prefill slots first; then the colocated one, if all kinds have that role."""
    found = []
    for counts in itertools.product(*(range(kind.count + 1) for kind in fleet.kinds)):
        reading = sum(counts)
        if reading >= fleet.prefill_floor and fleet.slots - reading >= fleet.decode_floor:
            found.append(split_of(fleet, {kind.name: n for kind, n in zip(fleet.kinds, counts, strict=True)}))
    found.sort(key=lambda split: sum((split.prefill or {}).values()))
    return (*found, mixed(fleet)) if all(Role.MIXED in kind.instances for kind in fleet.kinds) else tuple(found)


def split_of(fleet: Fleet, prefill: Mapping[str, int]) -> Split:
    """The split with that many prefill slots of each kind. Raises ValueError where one role is left empty."""
    layout = Layout(tuple(_instances(fleet, prefill)), fleet.transfer, fleet.policy)
    return Split(dict(prefill), layout, _words(fleet, layout, prefill))


def mixed(fleet: Fleet) -> Split:
    """All slots colocated."""
    instances = (model for kind in fleet.kinds for model in kind.instances[Role.MIXED] * kind.count)
    layout = Layout(tuple(instances), fleet.transfer, fleet.policy)
    return Split(None, layout, layout.words)


def _instances(fleet: Fleet, prefill: Mapping[str, int]) -> Iterator[InstanceModel]:
    for kind in fleet.kinds:
        yield from kind.instances.get(Role.PREFILL, ()) * prefill.get(kind.name, 0)
    for kind in fleet.kinds:
        yield from kind.instances.get(Role.DECODE, ()) * (kind.count - prefill.get(kind.name, 0))


def _words(fleet: Fleet, layout: Layout, prefill: Mapping[str, int]) -> str:
    """`2P3D`; in a mixed fleet `2P3D (P: 2 mi325x; D: 3 mi300x)`."""
    if len(fleet.kinds) == 1:
        return layout.words
    sides = {
        "P": [(prefill.get(kind.name, 0), kind.name) for kind in fleet.kinds],
        "D": [(kind.count - prefill.get(kind.name, 0), kind.name) for kind in fleet.kinds],
    }
    said = (f"{side}: {', '.join(f'{n} {name}' for n, name in part if n)}" for side, part in sides.items())
    return f"{layout.words} ({'; '.join(said)})"
