"""`pdctl demo`, and `pdctl demo nodes`."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from typing import Any

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.terminal_settings import terminal_options, terminal_settings
from pdctl.control.demo_nodes import (
    FleetOptions,
    demo_nodes_down,
    demo_nodes_status,
    demo_nodes_up,
)
from pdctl.control.demo_record import DemoNodes


@click.group("demo", invoke_without_command=True)
@click.option("--headless", is_flag=True, help="Serve a fixed load, print a summary, take all down.")
@click.option("--requests", type=click.IntRange(1), default=400, show_default=True, help="With --headless.")
@click.option("--moves", type=click.IntRange(0), default=0, help="With --headless: nodes change roles so many times.")
@click.option("--auto", is_flag=True, help="With --headless: traffic turns, and the ratio of the pools follows it.")
@click.option("--concurrency", type=click.IntRange(1, 512), help="Clients; 16 by default, more with --moves.")
@click.option("--layout", default="2P3D", show_default=True, help="Prefill and decode nodes, one instance each.")
@click.option("--mode", type=click.Choice(["read", "write"]), default="write", show_default=True)
@terminal_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    headless: bool,
    requests: int,
    moves: int,
    auto: bool,
    concurrency: int | None,
    layout: str,
    mode: str,
    **flags: Any,
) -> int | None:
    """A fleet of simulated nodes, brought up by the same code as real ones and served through vllm-router.

    In a terminal it is shown live, and its nodes can be moved, drained and restarted; `?` shows the keys. Nothing is
    left running when it ends, whatever way it ends. `pdctl demo nodes up` keeps nodes for separate commands.
    """
    if ctx.invoked_subcommand is not None:
        return None
    if auto:
        from pdctl.cli.demo_auto import run_auto_demo_command

        return run_auto_demo_command(ctx.obj)
    options = FleetOptions(layout=layout, mode=mode)
    if not headless and not ctx.obj.json and sys.stdin.isatty() and sys.stdout.isatty():
        from pdctl.cli.demo_terminal import run_demo_terminal

        return run_demo_terminal(ctx.obj, options, terminal_settings(**flags), concurrency=concurrency or 16)
    from pdctl.cli.demo_run import demo_load, run_demo_command

    return run_demo_command(ctx.obj, options, demo_load(options, requests, concurrency, moves, headless=headless))


@command.group("nodes")
def nodes() -> None:
    """Simulated nodes that stay, to try the separate commands on."""


@nodes.command("up")
@click.option("--layout", default="2P3D", show_default=True, help="What the written inventory says.")
@click.option("--mode", type=click.Choice(["read", "write"]), default="write", show_default=True)
@click.option("--startup-s", type=float, default=1.0, show_default=True, help="Simulated load time of an engine.")
@click.pass_obj
def nodes_up(options: Globals, layout: str, mode: str, startup_s: float) -> int:
    """Start the nodes, and say how to use them."""
    report = asyncio.run(demo_nodes_up(options=FleetOptions(layout=layout, mode=mode, startup_s=startup_s)))
    _show(options, report.nodes, "up" if report.started else "up already")
    return 0


@nodes.command("down")
@click.pass_obj
def nodes_down(options: Globals) -> int:
    """Take the nodes down, and everything that runs on them."""
    report = asyncio.run(demo_nodes_down())
    if options.json:
        left = [asdict(item) for item in report.leftovers]
        say_json(options, "demo_nodes", {"state": "down", "leftovers": left}, cluster=FleetOptions().cluster)
    else:
        click.echo("the simulated nodes are down" if report.was_up else "no simulated nodes were up")
        for item in report.leftovers:
            click.echo(f"  {item.pid} {item.command} outlived its node and was killed")
    return 0


@nodes.command("status")
@click.pass_obj
def nodes_status(options: Globals) -> int:
    """Say whether the nodes are up, and where."""
    found = demo_nodes_status()
    if found is not None:
        _show(options, found, "up")
    elif options.json:
        say_json(options, "demo_nodes", {"state": "down"}, cluster=FleetOptions().cluster)
    else:
        click.echo("no simulated nodes are up; `pdctl demo nodes up` starts them")
    return 0


def _show(options: Globals, found: DemoNodes, state: str) -> None:
    if options.json:
        body = {"state": state, "inventory": str(found.inventory), "nodes": [asdict(node) for node in found.nodes]}
        say_json(options, "demo_nodes", body, cluster=found.cluster)
        return
    click.echo(f"{len(found.nodes)} simulated nodes are {state}:")
    for node in found.nodes:
        click.echo(f"  {node.name}  ssh {node.host} port {node.port}, data {node.data_address}, {node.state}")
    click.echo(f"try:\n  export PDCTL_INVENTORY={found.inventory}\n  pdctl up\n  pdctl status\n  pdctl demo nodes down")
