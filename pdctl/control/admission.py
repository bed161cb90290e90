"""Whether `up` checks nodes before it starts something on them, and who may start.

Apart from `control.gate`, which does the checking: the checks are half of pdctl's modules, and a command that makes
none should not load them (0.12 s of CPU, measured).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pdctl.model.deployment import Deployment
from pdctl.model.launch import FabricFacts
from pdctl.model.observed import Trouble
from pdctl.model.role import EngineKind


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may start: `lost` are instances that may not, by name, with the check that says so. `fabric` is what the
    nodes that were checked have to tell their engines, by node."""

    lost: Mapping[str, Trouble] = field(default_factory=dict)
    fabric: Mapping[str, FabricFacts] = field(default_factory=dict)


def has_hardware(deployment: Deployment) -> bool:
    """Whether there are GPUs to check: not with simulated engines, unless the inventory asks for the gate all the same,
    nor where every node says `gpu: cpu`."""
    simulated = deployment.engine.kind is EngineKind.SIMULATED and deployment.checks.gate is not True
    return not simulated and any(node.gpu != "cpu" for node in deployment.nodes.values())


def gates(deployment: Deployment, *, skip: bool) -> bool:
    """Whether `up` checks nodes first: as the inventory says, else where there are GPUs to check."""
    if skip:
        return False
    said = deployment.checks.gate
    return has_hardware(deployment) if said is None else said
