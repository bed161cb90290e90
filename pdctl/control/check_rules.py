"""The inventory's rules about checks, against the checks that there are: only this floor knows both."""

from __future__ import annotations

from pdctl.health.policy import misspelt
from pdctl.health.registry import REGISTRY, Registry
from pdctl.inventory.load import Inventory
from pdctl.inventory.problems import InvalidInventory
from pdctl.model.check_policy import CheckPolicy


def refuse_misspelt_rules(inventory: Inventory, policy: CheckPolicy, registry: Registry = REGISTRY) -> None:
    """Raises InvalidInventory, located, for rules that name no check and pins of nothing: they would be no rules."""
    found = misspelt(policy, registry.ids(), registry.pins())
    problems = [inventory.document.problem(each.loc, each.message, each.hint, at_key=True) for each in found]
    if problems:
        raise InvalidInventory(tuple(sorted(problems, key=lambda problem: (problem.line, problem.col))))
