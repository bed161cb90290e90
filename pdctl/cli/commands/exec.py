"""`pdctl exec`."""

from __future__ import annotations

import click

from pdctl.cli.chosen import chosen_nodes
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import read, refuse_read_only
from pdctl.control.opened import Opened
from pdctl.control.read_only import refuse_read_only as refuse_change
from pdctl.control.remote_exec import ExecResult, exit_code, remote_exec
from pdctl.model.events import plain
from pdctl.text.escape import one_line


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.option("-t", "--timeout", "deadline_s", type=float, default=60.0, show_default=True, help="Seconds per node.")
@click.option("-n", "--on", "selectors", multiple=True, help="Nodes, slots or @pools; all nodes if left out.")
@click.argument("argv", nargs=-1, required=True)
@click.pass_obj
def command(options: Globals, deadline_s: float, selectors: tuple[str, ...], argv: tuple[str, ...]) -> int:
    """Run ARGV (no shell) on many nodes at once: `pdctl exec -n @decode -- rocm-smi --showmeminfo vram`."""
    refuse_read_only(options, "exec")

    async def act(opened: Opened) -> int:
        refuse_change(opened.deployment, "exec")
        nodes = chosen_nodes(opened.deployment, selectors)
        results: list[ExecResult] = []
        async for result in remote_exec(opened.cluster.shells, nodes, argv, deadline_s=deadline_s):
            results.append(result)
            if options.json:
                say_json(options, "exec", plain(result), cluster=opened.deployment.cluster)
            else:
                _show(result)
        return exit_code(results)

    return read(options, act)


def _show(result: ExecResult) -> None:
    if result.trouble:
        click.echo(f"{result.node}: {one_line(result.trouble)}", err=True)
        if result.hint:
            click.echo(f"  hint: {one_line(result.hint)}", err=True)
        return
    for line in result.stdout.splitlines():
        click.echo(f"{result.node}: {line}")
    for line in result.stderr.splitlines():
        click.echo(f"{result.node}! {line}", err=True)
    if result.truncated:
        click.echo(f"{result.node}: it wrote more than is shown here", err=True)
    if result.status:
        click.echo(f"{result.node}: exit status {result.status}", err=True)
