"""Which living units hold GPUs that a wanted instance is to get: they have to be gone before it starts."""

from __future__ import annotations

from pdctl.model.deployment import Deployment, Instance
from pdctl.model.observed import Observed
from pdctl.model.unit import UnitState

_GONE = (UnitState.EXITED, UnitState.FAILED, UnitState.ABSENT)


def holders(deployment: Deployment, instance: Instance, observed: Observed) -> frozenset[str]:
    """Names of the instances and strays, but for itself, whose units live on GPUs of `instance`."""
    leaders = {part.name: owner.name for owner in deployment.instances for part in owner.parts}
    found: set[str] = set()
    for part in instance.parts:
        view = observed.nodes.get(part.node)
        for unit in view.units if view is not None else ():
            if unit.state not in _GONE and set(unit.labels.gpus) & set(part.gpus):
                found.add(leaders.get(unit.labels.instance, unit.labels.instance))
    return frozenset(found - {instance.name})
