"""`pdctl validate`."""

from __future__ import annotations

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.control.opened import read_deployment
from pdctl.engines.shapes import refusals
from pdctl.model.check_policy import CheckPolicy


@click.command("validate")
@click.argument("files", nargs=-1, type=click.Path(dir_okay=False))
@click.pass_obj
def command(options: Globals, files: tuple[str, ...]) -> int:
    """Check the inventory (or FILES): every error at once, with its place and a hint. Exit 65 if there is one."""
    from pathlib import Path

    from pdctl.cli.failure import show_failure
    from pdctl.errors import InventoryError

    code = 0
    for path in [Path(name) for name in files] or [options.inventory]:
        try:
            inventory, deployment = read_deployment(path)
            if deployment.checks != CheckPolicy():  # else the checks need not be read
                from pdctl.control.check_rules import refuse_misspelt_rules

                refuse_misspelt_rules(inventory, deployment.checks)
        except InventoryError as error:
            code = show_failure(error, options)
            continue
        limits = [f"{item.what}: {item.reason}" for item in refusals(deployment)]
        if options.json:
            body = {"file": str(path), "instances": len(deployment.instances), "refused_by_up": limits}
            say_json(options, "valid", body, cluster=deployment.cluster)
            continue
        click.echo(f"{path}: valid; {len(deployment.nodes)} nodes, {len(deployment.instances)} instances")
        for limit in limits:
            click.echo(f"  but `up` would refuse it: {limit}")
    return code
