"""What a deployment wants to run, what was wanted before it, and what an operator changed between the two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pdctl.control.lease import Applied
from pdctl.engines.spec_hash import diff_fields, spec_fields, spec_hash
from pdctl.errors import InventoryError
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.model.deployment import Deployment
from pdctl.plan.drift import Known
from pdctl.plan.steps import REGISTRAR, ROUTER
from pdctl.plan.up import Wanted
from pdctl.routers.facts import router_facts
from pdctl.routers.units import registrar_unit, router_unit


def wanted(deployment: Deployment, applied: Applied | None = None) -> Wanted:
    """Spec hashes of everything that the deployment wants to run, and what differs from what was last applied."""
    old = applied_deployment(deployment, applied)
    flips = old is not None and old.kv.mode is not deployment.kv.mode
    latched = router_facts(deployment).transfer_mode_latched
    return Wanted(_hashes(deployment), _differences(deployment, old), flips and latched)


def applied_deployment(deployment: Deployment, applied: Applied | None) -> Deployment | None:
    """The deployment of the inventory that was last applied; None where there is none, or none that can be read."""
    if applied is None:
        return None
    if applied.digest == deployment.digest:
        return deployment
    try:
        return place(parse(applied.text.encode(), Path(deployment.source)))
    except InventoryError:
        return None


def known(deployment: Deployment, applied: Applied | None) -> Known | None:
    """What was applied, and what pdctl launched since. None where that is not known."""
    old = applied_deployment(deployment, applied)
    if old is None or applied is None:
        return None
    return Known(_hashes(old), {name: frozenset(found) for name, found in applied.launched.items()})


def _hashes(deployment: Deployment) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for instance in deployment.instances:
        digest = spec_hash(deployment, instance)
        hashes.update({part.name: digest for part in instance.parts})
    hashes[ROUTER] = router_unit(deployment, generation=0).labels.spec_hash
    hashes[REGISTRAR] = registrar_unit(deployment, generation=0).labels.spec_hash
    return hashes


def _differences(deployment: Deployment, old: Deployment | None) -> Mapping[str, tuple[str, ...]]:
    """Changed inventory fields by instance, in words."""
    if old is None or old is deployment:
        return {}
    before = {instance.name: spec_fields(old, instance) for instance in old.instances}
    return {
        instance.name: tuple(
            str(item) for item in diff_fields(before[instance.name], spec_fields(deployment, instance))
        )
        for instance in deployment.instances
        if instance.name in before
    }
