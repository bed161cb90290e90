"""`pdctl plan`."""

from __future__ import annotations

import click

from pdctl.cli.chosen import chosen_instances
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import read
from pdctl.control.opened import Opened
from pdctl.control.up import Planning, as_json, plan
from pdctl.text.escape import one_line


@click.command("plan")
@click.argument("selectors", nargs=-1)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 if `up` would change something.")
@click.pass_obj
def command(options: Globals, selectors: tuple[str, ...], detailed_exitcode: bool) -> int:
    """Say what `up` would do now, and why. Changes nothing and needs no lease."""

    async def act(opened: Opened) -> int:
        planning = await plan(opened, chosen_instances(opened.deployment, selectors))
        if options.json:
            say_json(options, "plan", as_json(planning), cluster=opened.deployment.cluster)
        else:
            _show(planning, steps=options.verbose)
        if planning.plan.blocked:
            return 4
        return planning.exit_code if detailed_exitcode else 0

    return read(options, act)


def _show(planning: Planning, *, steps: bool) -> None:
    if planning.stale is not None:
        click.echo(f"! `pdctl up` would be refused: {one_line(planning.stale.message)}")
        click.echo(f"    hint: {one_line(planning.stale.hint)}")
    for item in planning.plan.blocked:
        click.echo(f"? {item.subject}: nothing can be said, {item.node}: {one_line(item.trouble.cause)}")
        if item.trouble.hint:
            click.echo(f"    hint: {one_line(item.trouble.hint)}")
    for text in planning.plan.warnings:
        click.echo(f"! {one_line(text)}")
    for left in planning.plan.held:
        click.echo(f"= {left.slot}: {one_line(left.text)}")
    signs = {"start": "+", "adopt": "~", "replace": "±", "restart": "±", "stop": "-", "fix": "*"}
    for change in planning.plan.changes:
        click.echo(f"{signs[change.kind.value]} {change.kind.value} {change.subject}: {one_line(change.reason)}")
        for difference in change.differences:
            click.echo(f"    {one_line(difference)}")
    if steps:
        for step in planning.plan.steps:
            waits = ", ".join((*step.needs, *step.after))
            click.echo(f"  {step.id}" + (f"  <- {waits}" if waits else ""))
    if planning.plan.converged:
        click.echo("nothing to do: the cluster is what the inventory says")
