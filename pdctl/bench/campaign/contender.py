"""The deployments that are compared, by inventories, and whether the comparison would be a fair one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pdctl.bench.point import Target
from pdctl.bench.reach import deployed_gpus, deployed_target
from pdctl.control.opened import read_deployment
from pdctl.errors import UsageError
from pdctl.model.deployment import Deployment
from pdctl.model.role import EngineKind, Role

FOLDER = "inventories"
"""Where names without a path are looked for."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One deployment. `name` is its cluster's; the file's, where several inventories have the same cluster."""

    name: str
    path: Path
    deployment: Deployment

    @property
    def layout(self) -> str:
        """`2P3D`, `5M`: instances by role."""
        counts = Counter(instance.role for instance in self.deployment.instances)
        return "".join(f"{counts[role]}{role.letter}" for role in Role if counts[role])

    @property
    def machines(self) -> frozenset[tuple[str, int]]:
        """Where its nodes are reached."""
        return frozenset((node.host, node.port) for node in self.deployment.nodes.values())

    @property
    def target(self) -> Target:
        """What a driver has to know of it, by its address as clients elsewhere find it."""
        return replace(deployed_target(self.deployment), deployment=self.name)


def find_inventory(name: str, places: Sequence[Path]) -> Path:
    """A path as it is; else `NAME` or `NAME.yaml` in one of `places`, the first that has it. Raises UsageError."""
    candidates = [Path(name), *(place / f"{name}{ending}" for place in places for ending in (".yaml", ".yml", ""))]
    for path in candidates:
        if path.is_file():
            return path
    looked = ", ".join(str(place) for place in places)
    raise UsageError(f"there is no inventory {name!r}", hint=f"name a file, or one in {looked} (without .yaml)")


def contenders(paths: Sequence[Path]) -> tuple[Contender, ...]:
    """In the order given. Raises UsageError for fewer than two or the same twice, InventoryError."""
    if len(paths) < 2:
        raise UsageError(
            "a comparison needs two deployments or more", hint="name their inventories, the baseline first"
        )
    deployments = [read_deployment(path)[1] for path in paths]
    clusters = Counter(deployment.cluster for deployment in deployments)
    found = tuple(
        Contender(deployment.cluster if clusters[deployment.cluster] == 1 else path.stem, path, deployment)
        for path, deployment in zip(paths, deployments, strict=True)
    )
    again = [name for name, count in Counter(each.name for each in found).items() if count > 1]
    if again:
        raise UsageError(f"{again[0]} is named twice", hint="give the inventories different `cluster` names")
    return found


def unfair(compared: Sequence[Contender]) -> tuple[str, ...]:
    """In words, what makes the deployments differ in more than their layout, as seen from the first."""
    base, found = compared[0], []
    for other in compared[1:]:
        if other.deployment.model.name != base.deployment.model.name:
            found.append(f"{other.name} serves {other.deployment.model.name}, {base.name} {base.deployment.model.name}")
        if other.machines != base.machines:
            found.append(f"{other.name} is on other nodes than {base.name}")
        mine, theirs = deployed_gpus(other.deployment), deployed_gpus(base.deployment)
        if mine != theirs:
            found.append(f"{other.name} uses {mine} GPUs, {base.name} {theirs}: compare their rates per GPU")
        if other.deployment.engine.kind is not base.deployment.engine.kind or (
            other.deployment.engine.version != base.deployment.engine.version
        ):
            found.append(f"{other.name} runs {_engine(other)}, {base.name} {_engine(base)}")
    return tuple(found)


def _engine(contender: Contender) -> str:
    engine = contender.deployment.engine
    kind = "simulated" if engine.kind is EngineKind.SIMULATED else engine.kind.value
    return f"{kind} {engine.version}"
