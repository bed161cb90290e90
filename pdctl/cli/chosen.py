"""Selectors on the command line: names of instances that a command is limited to."""

from __future__ import annotations

from collections.abc import Sequence

from pdctl.inventory.select import select
from pdctl.model.deployment import Deployment


def chosen_instances(deployment: Deployment, selectors: Sequence[str]) -> frozenset[str] | None:
    """Names of the instances that `selectors` name; None where none were given, which means the whole cluster."""
    if not selectors:
        return None
    return frozenset(instance.name for instance in select(deployment, selectors).instances)


def chosen_nodes(deployment: Deployment, selectors: Sequence[str]) -> tuple[str, ...]:
    """Names of the nodes that `selectors` name, all of them where none were given."""
    return tuple(node.name for node in select(deployment, selectors).nodes)
