"""`pdctl render`."""

from __future__ import annotations

import shlex

import click

from pdctl.cli.chosen import chosen_instances
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.control.opened import read_deployment
from pdctl.engines.engine import render
from pdctl.engines.shapes import refusals
from pdctl.model.deployment import Deployment
from pdctl.model.events import plain
from pdctl.model.launch import Launch
from pdctl.model.unit import UnitSpec
from pdctl.routers.units import registrar_unit, router_unit


@click.command("render")
@click.argument("selectors", nargs=-1)
@click.option(
    "--generation",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="The first of each node; ports change with it.",
)
@click.pass_obj
def command(options: Globals, selectors: tuple[str, ...], generation: int) -> int:
    """Print what would be started: argv, environment and ports of every process. Touches no network.

    The generation is given out by the node at the start, so real ports differ.
    """
    _, deployment = read_deployment(options.inventory)
    only = chosen_instances(deployment, selectors)
    launches = [launch for launch in _launches(deployment, generation) if only is None or launch.instance.name in only]
    services = (router_unit, registrar_unit) if only is None else ()
    units = [service(deployment, generation=generation) for service in services]
    limits = [f"{item.what}: {item.reason}" for item in refusals(deployment)]
    if options.json:
        body = {"launches": plain(launches), "units": [_unit(unit) for unit in units], "refused_by_up": limits}
        say_json(options, "render", body, cluster=deployment.cluster)
        return 0
    for launch in launches:
        _show_launch(launch)
    for unit in units:
        click.echo(f"# {unit.labels.unit}")
        click.echo(_command(unit.argv, dict(unit.env)) + "\n")
    for limit in limits:
        click.echo(f"# `up` would refuse this: {limit}")
    return 0


def _launches(deployment: Deployment, first: int) -> list[Launch]:
    """Every instance's launch, as if each node gave its generations out from `first`, one per instance."""
    given = dict.fromkeys(deployment.nodes, first - 1)
    launches = []
    for instance in deployment.instances:
        for node in instance.nodes:
            given[node] += 1
        launches.append(render(deployment, instance, {node: given[node] for node in instance.nodes}))
    return launches


def _show_launch(launch: Launch) -> None:
    for process in launch.processes:
        click.echo(
            f"# {process.labels.unit} on {process.node}, {launch.instance.role.value}, generation {launch.generation}"
        )
        if process.secrets:
            click.echo(f"# secrets, by a 0600 file: {', '.join(process.secrets)}")
        click.echo(_command(process.argv, dict(process.env)) + "\n")


def _command(argv: tuple[str, ...], env: dict[str, str]) -> str:
    """One shell command, one flag a line."""
    lines = [f"{name}={shlex.quote(value)}" for name, value in env.items()]
    words: list[str] = []
    for word in argv:
        if word.startswith("--") or not words:
            words.append(shlex.quote(word))
        else:
            words[-1] += f" {shlex.quote(word)}"
    return " \\\n  ".join([*lines, *words])


def _unit(unit: UnitSpec) -> dict[str, object]:
    return {"labels": plain(unit.labels), "argv": list(unit.argv), "env": dict(unit.env), "ports": list(unit.ports)}
