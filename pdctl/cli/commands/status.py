"""`pdctl status`."""

from __future__ import annotations

import time

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import read
from pdctl.control.opened import Opened
from pdctl.control.status import ClusterStatus, State, UnitView, as_json, status
from pdctl.plan.held import whose
from pdctl.text.duration import duration
from pdctl.text.escape import log_line, one_line

GOOD = (State.SERVING, State.RUNNING)
HELD = (State.DRAINED, State.QUARANTINED)


@click.command("status")
@click.pass_obj
def command(options: Globals) -> int:
    """What runs, what is registered, and what died of what. Exit 4 if a node could not be asked."""

    async def act(opened: Opened) -> int:
        seen = await status(opened.cluster)
        if options.json:
            say_json(options, "status", as_json(seen), cluster=seen.cluster)
        else:
            show(seen, verbose=options.verbose)
        return seen.exit_code

    return read(options, act)


def show(seen: ClusterStatus, *, verbose: bool) -> None:
    """The status as text, 80 columns wide where names allow."""
    serving = {True: "serving", False: "not serving", None: "unknown whether it serves"}[seen.serving]
    click.echo(f"{seen.cluster}: {seen.ratio}, {serving}, router {seen.router_url}")
    views = [*seen.services, *seen.instances]
    width = max(len(view.name) for view in views)
    now = time.time()
    for view in views:
        click.echo(_line(view, width, now))
        if view.held:
            click.echo(f"  {'':{width}}   {one_line(view.held)}{_since(view.name, seen, now)}")
        if view.why and view.state not in GOOD and view.node not in seen.unreachable:
            click.echo(f"  {'':{width}}   {one_line(view.why)}")
        if view.state is State.FAILED or verbose:
            for line in view.last_lines[-5:]:
                click.echo(f"  {'':{width}}   | {log_line(line)}")
    for hold in seen.expired_holds:
        click.echo(f"= {hold.slot}: was {one_line(whose(hold))}; that ran out, `pdctl undrain {hold.slot}` clears it")
    for name in seen.strays:
        click.echo(f"! {one_line(name)} runs, but is not in the inventory; `pdctl up` stops it")
    for text in seen.alerts:
        click.echo(f"! {one_line(text)}")
    for node, cause in seen.unreachable.items():
        click.echo(f"? {node}: {one_line(cause)}")


def _since(name: str, seen: ClusterStatus, now: float) -> str:
    """For how long its slot is held, and for how much longer."""
    hold = next((hold for hold in seen.holds if name.startswith(f"{hold.slot}.")), None)
    if hold is None:
        return ""
    left = f", for {duration(hold.until_s - now)} more" if hold.until_s is not None else ""
    return f" ({duration(now - hold.since_s)} ago{left})"


def _line(view: UnitView, width: int, now: float) -> str:
    sign = " " if view.state in GOOD else "=" if view.state in HELD else "?" if view.state is State.UNKNOWN else "!"
    age = f" for {duration(now - view.started_at)}" if view.started_at and view.state in GOOD else ""
    role = f"{view.role:<8}" if view.pool else f"{'':8}"
    restarts = f", {view.restarts} restarts" if view.restarts else ""
    return f"{sign} {view.name:{width}} {role} {view.state.value}{age}{restarts}  {view.endpoint}".rstrip()
