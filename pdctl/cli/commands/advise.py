"""`pdctl advise`."""

from __future__ import annotations

from pathlib import Path

import click

from pdctl.cli.lazy_group import LazyGroup

COMMANDS = {
    "fit": "fit the performance model to measured runs, and say how far off it is",
    "profiles": "the profiles that an advice may use",
    "decisions": "what `watch --auto` decided lately, and on which figures",
    "simulate": "play a day on a virtual fleet: every split, moving greedily, and the rebalancing policy",
    "handoff": "can one layout hand its KV to another: what is re-sharded, what is refused",
}


@click.group("advise", cls=LazyGroup, table=COMMANDS, package="pdctl.cli.advise", invoke_without_command=True)
@click.option("--scenario", help="A named one, with its loads (1k/1k, 8k/1k, mori, llmd), or a shape: 8192/1024.")
@click.option("--isl", type=click.IntRange(1), help="Tokens of a prompt.")
@click.option("--osl", type=click.IntRange(1), help="Tokens of an answer.")
@click.option("--rate", "rate_per_s", type=click.FloatRange(0, min_open=True), help="Requests offered per second.")
@click.option("--concurrency", type=click.IntRange(1), help="Requests in flight: alone a closed loop, or a limit.")
@click.option("--trace", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Offers, as JSON lines.")
@click.option(
    "--observed", is_flag=True, help="What the live cluster is asked for now; the default without a workload."
)
@click.option("--for", "watch_s", default="20s", show_default=True, help="With --observed: look for so long.")
@click.option("--slo", help="Such as ttft=1s,itl=50ms; default: the inventory's.")
@click.option(
    "--objective",
    type=click.Choice(["goodput", "latency", "throughput"]),
    help="Default: goodput where requests come at a rate, throughput in a closed loop.",
)
@click.option("--restart", default="5m", show_default=True, help="From an engine's stop to its first request.")
@click.option("--seeds", type=click.IntRange(1, 32), default=2, show_default=True, help="Draws of the offers.")
@click.option("--profile", "profiles", multiple=True, help="Use this profile for its GPU kind and shape.")
@click.pass_context
def command(ctx: click.Context, /, **asked: object) -> int:
    """Which split of this fleet serves a workload best, and whether to disaggregate at all.

    All splits of the inventory's slots, and all of them colocated, are played by the performance model. The answer says
    what it predicts and by how much that may be off, why, what it costs to go there from the present split, and "too
    close to call" where the model cannot tell. It refuses where it knows too little.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    from pdctl.cli.advise.ask import answer

    return answer(ctx.obj, asked)
