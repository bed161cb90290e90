"""Candidate layouts by their names, and where their instances go on the nodes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pdctl.bench.sizing.cells import width_of
from pdctl.bench.sizing.points import Width
from pdctl.errors import PlanRefused, UsageError
from pdctl.model.role import Role

_SPLIT: Final = re.compile(r"(?:disagg-)?(\d+)p-(tp[a-z0-9]+)-(\d+)d-(tp[a-z0-9]+)")
_AGGREGATED: Final = re.compile(r"(?:(\d+)x-)?agg-(tp[a-z0-9]+)")


@dataclass(frozen=True, slots=True)
class Group:
    """So many instances of one role and width."""

    role: Role
    width: Width
    count: int

    @property
    def gpus(self) -> int:
        return self.count * self.width.gpus


@dataclass(frozen=True, slots=True)
class Layout:
    """`2p-tp1-1d-tp2`: prefill and decode; `3x-agg-tp4`: instances that do both."""

    name: str
    groups: tuple[Group, ...]

    @property
    def gpus(self) -> int:
        return sum(group.gpus for group in self.groups)


Placement = Mapping[str, Mapping[Group, tuple[int, ...]]]
"""By node, the GPUs of each group that has some there."""


def layout_named(name: str) -> Layout:
    """`2p-tp1-1d-tp2` (also `disagg-…`), `agg-tp4`, `3x-agg-tp2`. Raises UsageError."""
    split = _SPLIT.fullmatch(name)
    if split:
        groups = ((Role.PREFILL, split[1], split[2]), (Role.DECODE, split[3], split[4]))
        return Layout(name, tuple(_group(name, role, int(count), width) for role, count, width in groups))
    aggregated = _AGGREGATED.fullmatch(name)
    if aggregated:
        return Layout(name, (_group(name, Role.MIXED, int(aggregated[1] or 1), aggregated[2]),))
    raise UsageError(f"{name!r} is no layout", hint="2p-tp1-1d-tp2, agg-tp4 or 3x-agg-tp2")


def _group(name: str, role: Role, count: int, width: str) -> Group:
    sizes = width_of(width)
    if sizes is None or count < 1:
        raise UsageError(f"{name!r} is no layout: {width!r} is no width", hint="widths are tp2 or tp1dp8")
    tp, dp, gpus = sizes
    if gpus not in (None, tp * dp):
        raise UsageError(f"{name!r}: {width} is not TP x DP GPUs", hint="an instance of pdctl has TP x DP GPUs")
    return Group(role, Width(tp * dp, tp, dp), count)


def placed(layout: Layout, nodes: Mapping[str, int]) -> Placement:
    """GPUs of `nodes` (by name, how many) for every instance, none across two nodes: the widest first, each on the
    first node with room, which fails no set of widths that divide one another. Raises PlanRefused where one finds none.
    """
    used = dict.fromkeys(nodes, 0)
    found: dict[str, dict[Group, tuple[int, ...]]] = {}
    for group in sorted(layout.groups, key=lambda group: -group.width.gpus):
        for _ in range(group.count):
            size = group.width.gpus
            node = next((name for name, gpus in nodes.items() if gpus - used[name] >= size), None)
            if node is None:
                have = ", ".join(f"{name} {gpus}" for name, gpus in nodes.items())
                raise PlanRefused(
                    f"{layout.name} needs {layout.gpus} GPUs, and an instance of {size} finds no node with room",
                    hint=f"GPUs there are: {have}",
                )
            gpus = tuple(range(used[node], used[node] + size))
            used[node] += size
            here = found.setdefault(node, {})
            here[group] = (*here.get(group, ()), *gpus)
    return found


def aggregated_layouts(widths: Iterable[Width]) -> tuple[Layout, ...]:
    """One instance of every width, as the aggregated side of a comparison."""
    return tuple(
        layout_named(f"agg-{width.label}") for width in sorted(set(widths)) if width.gpus == width.tp * width.dp
    )


def unique(layouts: Sequence[Layout]) -> tuple[Layout, ...]:
    """Each name once, in order."""
    return tuple({layout.name: layout for layout in layouts}.values())
