"""What a check is about: which checks apply, which nodes and slots, what of ours runs there and what is about to."""

from __future__ import annotations

from collections.abc import Iterable

from pdctl.control.admission import has_hardware
from pdctl.engines.ports import plan_ports
from pdctl.health.expectations import PortWanted, Situation
from pdctl.health.policy import refuse_unknown_names
from pdctl.health.registry import REGISTRY, Registry
from pdctl.model.deployment import Deployment, Instance
from pdctl.model.observed import Observed
from pdctl.model.role import UnitKind
from pdctl.model.unit import UnitState

WITHOUT_GPUS = (
    "reach.",
    "host.clock",
    "host.disk",
    "host.failed_units",
    "host.image",
    "host.kernel_log",
    "host.model",
    "host.ports",
    "host.stray_bench",
    "drift.image",
    "drift.kernel",
    "drift.model",
)
"""Checks that are left where engines are simulated or run on CPU: they lock no memory and speak no RDMA."""

_LIVING = (UnitState.RUNNING, UnitState.STOPPING, UnitState.UNKNOWN)


def registry_for(deployment: Deployment, registry: Registry = REGISTRY) -> Registry:
    """The checks that apply: without GPUs neither they nor RDMA are looked at.

    Raises InventoryError where the inventory names a check that does not exist.
    """
    refuse_unknown_names(deployment.checks, registry.ids(), registry.pins())
    if has_hardware(deployment):
        return registry

    def applies(check: str) -> bool:
        return check.startswith(WITHOUT_GPUS)

    return Registry(
        tuple(check for check in registry.checks if applies(check.id)),
        tuple(check for check in registry.fleet if applies(check.id)),
        tuple(trait for trait in registry.traits if applies(trait.id)),
        tuple(figure for figure in registry.figures if applies(figure.id)),
    )


def nodes_in(deployment: Deployment, scope: frozenset[str] | None) -> tuple[str, ...]:
    """The nodes that hold a slot in scope (None: all slots), in the inventory's order."""
    held = {slot.node for slot in deployment.slots if scope is None or slot.id in scope}
    return tuple(name for name in deployment.nodes if name in held)


def slots_of(deployment: Deployment, instances: Iterable[str]) -> frozenset[str]:
    """Ids of the slots that hold parts of these instances."""
    return frozenset(f"{part.node}.{part.slot}" for name in instances for part in deployment.instance(name).parts)


def situation_of(deployment: Deployment, observed: Observed, scope: frozenset[str] | None) -> Situation:
    """What of ours runs on the nodes that could be asked, and the ports that the next launches would get."""
    serving: dict[str, frozenset[int]] = {}
    units: dict[str, tuple[str, ...]] = {}
    told: dict[str, dict[str, str]] = {}
    for node, view in observed.nodes.items():
        ours = [unit for unit in view.units if unit.state in _LIVING]
        engines = [unit for unit in ours if unit.labels.kind is UnitKind.ENGINE]
        serving[node] = frozenset(gpu for unit in engines for gpu in unit.labels.gpus)
        units[node] = tuple(unit.labels.unit for unit in ours)
        told[node] = {unit.labels.instance: unit.labels.facts for unit in engines if unit.labels.facts}
    return Situation(serving, units, _ports(deployment, observed), scope, told)


def _ports(deployment: Deployment, observed: Observed) -> dict[str, tuple[PortWanted, ...]]:
    """By node: instances that do not run, in their order, each with the block of its node's next generation."""
    found: dict[str, list[PortWanted]] = {}
    given: dict[str, int] = {}
    for instance in deployment.instances:
        view = observed.nodes.get(instance.leader.node)
        if view is None or _runs(instance, observed):
            continue
        given[view.node] = given.get(view.node, 0) + 1
        ports = plan_ports(deployment, instance, view.generation + given[view.node])
        address = deployment.nodes[view.node].data_address
        wanted = (ports.http, ports.rpc, *(ports.handshake + rank for rank in range(ports.ranks)))
        found.setdefault(view.node, []).extend(PortWanted(port, address, instance.name) for port in wanted)
    return {node: tuple(wanted) for node, wanted in found.items()}


def _runs(instance: Instance, observed: Observed) -> bool:
    unit = observed.unit(instance.leader.name)
    return unit is not None and unit.state in _LIVING
