"""`pdctl plan`."""

from __future__ import annotations

from pathlib import Path

import click

from pdctl.cli.chosen import chosen_instances
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.plan_view import plan_lines
from pdctl.cli.session import read
from pdctl.control.opened import Opened
from pdctl.control.planning import as_json, plan
from pdctl.control.up import UpOptions


@click.command("plan")
@click.argument("selectors", nargs=-1)
@click.option("--target", "targets", multiple=True, metavar="SELECTOR", help="The same as a positional SELECTOR.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 if `up` would change something.")
@click.option("--adopt", is_flag=True, help="As `up --adopt` would do it.")
@click.option("--force", is_flag=True, help="As `up --force` would do it.")
@click.option("--at-once", type=click.IntRange(1), default=1, show_default=True, help="As `up --at-once` would do it.")
@click.option(
    "--save",
    "save_to",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Keep the plan in this file: `pdctl up FILE` does that and nothing else.",
)
@click.pass_obj
def command(
    options: Globals,
    selectors: tuple[str, ...],
    targets: tuple[str, ...],
    detailed_exitcode: bool,
    adopt: bool,
    force: bool,
    at_once: int,
    save_to: Path | None,
) -> int:
    """Say what was edited in the inventory, what drifted without an edit, and what `up` would do now, and why.

    Changes nothing and needs no lease. `-v` shows every step with what it waits for.
    """

    async def act(opened: Opened) -> int:
        only = chosen_instances(opened.deployment, (*selectors, *targets))
        planning = await plan(opened, UpOptions(only=only, adopt=adopt, force=force, at_once=at_once))
        if options.json:
            say_json(options, "plan", as_json(planning), cluster=opened.deployment.cluster)
        else:
            for line in plan_lines(planning, steps=options.verbose):
                click.echo(line)
        if save_to is not None:
            from pdctl.control.saved_plan import save_plan  # pydantic, which most plans do without

            save_plan(planning, save_to, opened.cluster.clock.time())
        if planning.plan.blocked:
            return 4
        return planning.exit_code if detailed_exitcode else 0

    return read(options, act)
