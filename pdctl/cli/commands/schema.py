"""`pdctl schema`."""

from __future__ import annotations

import click

from pdctl.inventory.json_schema import schema_json


@click.command("schema")
def command() -> int:
    """Print the inventory's JSON Schema. In VS Code: `# yaml-language-server: $schema=…` on the first line."""
    click.echo(schema_json())
    return 0
