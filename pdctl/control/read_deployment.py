"""The inventory as a deployment, for whoever reaches no node with it: without all that does."""

from __future__ import annotations

from pathlib import Path

from pdctl.inventory.load import Inventory, load
from pdctl.inventory.place import place
from pdctl.model.deployment import Deployment


def read_deployment(path: Path) -> tuple[Inventory, Deployment]:
    """The inventory at `path`, checked and placed. Raises InventoryError with every problem of the file."""
    inventory = load(path)
    return inventory, place(inventory)
