"""`pdctl schema`."""

from __future__ import annotations

import json

import click

from pdctl.inventory.schema import schema_json


@click.command("schema")
def command() -> int:
    """Print the inventory's JSON Schema. In VS Code: `# yaml-language-server: $schema=…` on the first line."""
    click.echo(json.dumps(schema_json(), indent=2))
    return 0
