"""Every check there is, in one place. A file of `checks` exports tuples; it is named here by hand, nothing is found."""

from __future__ import annotations

from dataclasses import dataclass

from pdctl.health import fabric_verdict, floors, launch_facts, memory_budget, pace
from pdctl.health.check import Check, Figure, FleetCheck, Tier, Trait
from pdctl.health.checks import (
    gpu_condition,
    gpu_driver,
    gpu_errors,
    gpu_links,
    gpu_memory,
    gpu_versions,
    host_kernel,
    host_room,
    host_state,
    kernel_log,
    nic_counters,
    nic_place,
    nic_ports,
    nic_qos,
    nic_versions,
    reach,
)

ON_REQUEST = (*fabric_verdict.IDS, *floors.IDS, pace.CHECK)
"""Checks that are made of measurements when somebody asks for them; the inventory may speak of them all the same."""


@dataclass(frozen=True, slots=True)
class Registry:
    """What `judge` runs. Ids are unique over all four."""

    checks: tuple[Check, ...] = ()
    fleet: tuple[FleetCheck, ...] = ()
    traits: tuple[Trait, ...] = ()
    figures: tuple[Figure, ...] = ()

    def ids(self) -> tuple[str, ...]:
        """Every id, in order, those of checks on request too; more than once if two checks share it."""
        groups = (self.checks, self.fleet, self.traits, self.figures)
        return (*(each.id for group in groups for each in group), *ON_REQUEST)

    def reach(self) -> Registry:
        """T0 alone: can the nodes be asked."""
        return Registry(
            checks=tuple(check for check in self.checks if check.tier is Tier.T0),
            fleet=tuple(check for check in self.fleet if check.tier is Tier.T0),
        )

    def pins(self) -> tuple[str, ...]:
        """What the inventory can pin (`checks.pinned`)."""
        return tuple(trait.pin for trait in self.traits if trait.pin)


REGISTRY = Registry(
    checks=(
        *reach.CHECKS,
        *gpu_driver.CHECKS,
        *gpu_memory.CHECKS,
        *gpu_errors.CHECKS,
        *gpu_condition.CHECKS,
        *gpu_links.CHECKS,
        *kernel_log.CHECKS,
        *memory_budget.CHECKS,
        *nic_ports.CHECKS,
        *nic_place.CHECKS,
        *nic_qos.CHECKS,
        *nic_counters.CHECKS,
        *nic_versions.CHECKS,
        *launch_facts.CHECKS,
        *host_kernel.CHECKS,
        *host_room.CHECKS,
        *host_state.CHECKS,
    ),
    fleet=(*reach.FLEET_CHECKS, *host_state.FLEET_CHECKS),
    traits=(*gpu_versions.TRAITS, *nic_versions.TRAITS, *host_kernel.TRAITS, *host_room.TRAITS),
    figures=(),
)
"""One line per file of `checks`: `*gpu_memory.CHECKS`."""
