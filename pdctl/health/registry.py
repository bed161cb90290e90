"""Every check there is, in one place. A file of `checks` exports tuples; it is named here by hand, nothing is found."""

from __future__ import annotations

from dataclasses import dataclass

from pdctl.health import memory_budget
from pdctl.health.check import Check, Figure, FleetCheck, Trait
from pdctl.health.checks import reach


@dataclass(frozen=True, slots=True)
class Registry:
    """What `judge` runs. Ids are unique over all four."""

    checks: tuple[Check, ...] = ()
    fleet: tuple[FleetCheck, ...] = ()
    traits: tuple[Trait, ...] = ()
    figures: tuple[Figure, ...] = ()

    def ids(self) -> tuple[str, ...]:
        """Every id, in order; more than once if two checks share it."""
        return tuple(each.id for group in (self.checks, self.fleet, self.traits, self.figures) for each in group)

    def pins(self) -> tuple[str, ...]:
        """What the inventory can pin (`checks.pinned`)."""
        return tuple(trait.pin for trait in self.traits if trait.pin)


REGISTRY = Registry(
    checks=(*reach.CHECKS, *memory_budget.CHECKS),
    fleet=(*reach.FLEET_CHECKS,),
    traits=(),
    figures=(),
)
"""One line per file of `checks`: `*gpu_memory.CHECKS`."""
