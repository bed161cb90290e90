"""Documents that follow from code say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.cli.main import COMMANDS
from pdctl.inventory import schema, sections
from pdctl.inventory.sections import Section

ROOT = Path(__file__).parents[2]
SECTIONS = [
    found
    for module in (sections, schema)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, Section) and found is not Section
]


@pytest.mark.parametrize("section", dict.fromkeys(SECTIONS), ids=lambda section: section.__name__)
def test_the_reference_of_the_inventory_has_every_key_as_the_schema_describes_it(section: type[Section]) -> None:
    text = (ROOT / "docs" / "inventory.md").read_text()
    for name, field in section.model_fields.items():
        assert any(
            line.startswith(f"| `{name}` |") and f"| {field.description} |" in line for line in text.splitlines()
        )


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    table = "\n".join(line for line in text.splitlines() if line.startswith("| `"))
    assert all(f"`{name}" in table or f" {name}`" in table for name in COMMANDS)
