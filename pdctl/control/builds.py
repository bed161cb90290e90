"""Whether all engines run the same build: an image's name says little, since each node has its own copy of it."""

from __future__ import annotations

from collections.abc import Iterable

from pdctl.model.observed import Observed
from pdctl.model.role import UnitKind

_ID_CHARS = 12  # as docker shows them


def differing_builds(observed: Observed) -> tuple[str, ...]:
    """One line where engines that live were started from images with different ids, with the nodes of each."""
    nodes: dict[str, list[str]] = {}
    for name, view in observed.nodes.items():
        for unit in view.units:
            if unit.labels.kind is UnitKind.ENGINE and unit.pid is not None and unit.image:
                nodes.setdefault(unit.image, []).append(name)
    if len(nodes) < 2:
        return ()
    builds = "; ".join(f"{image[:_ID_CHARS]} on {_names(names)}" for image, names in sorted(nodes.items()))
    return (f"engines run different builds of their image: {builds}",)


def _names(nodes: Iterable[str]) -> str:
    return ", ".join(sorted(set(nodes)))
