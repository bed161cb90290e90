"""`pdctl schema`."""

from __future__ import annotations

import json

import click

from pdctl.inventory.schema import schema_json


@click.command("schema")
@click.option("--playbook", is_flag=True, help="That of playbooks instead.")
def command(playbook: bool) -> int:
    """Print the inventory's JSON Schema. In VS Code: `# yaml-language-server: $schema=…` on the first line."""
    if playbook:
        from pdctl.inventory.playbook_schema import playbook_schema_json

        click.echo(json.dumps(playbook_schema_json(), indent=2))
        return 0
    click.echo(json.dumps(schema_json(), indent=2))
    return 0
