"""All cross-field rules, in one list."""

from __future__ import annotations

from collections.abc import Iterator

from pdctl.inventory.finding import Context, Finding, Rule
from pdctl.inventory.rules_checks import CHECK_RULES
from pdctl.inventory.rules_engine import ENGINE_RULES
from pdctl.inventory.rules_nodes import NODE_RULES
from pdctl.inventory.rules_settings import SETTINGS_RULES
from pdctl.inventory.rules_shape import SHAPE_RULES
from pdctl.inventory.rules_transfer import TRANSFER_RULES

ALL: tuple[Rule, ...] = (*NODE_RULES, *SHAPE_RULES, *ENGINE_RULES, *SETTINGS_RULES, *TRANSFER_RULES, *CHECK_RULES)


def findings(context: Context) -> Iterator[Finding]:
    """What every rule has to say."""
    for rule in ALL:
        yield from rule(context)
