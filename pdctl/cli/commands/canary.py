"""`pdctl canary`."""

from __future__ import annotations

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import read
from pdctl.control.canaries import canary_rounds
from pdctl.control.opened import Opened
from pdctl.model.events import plain
from pdctl.model.snapshot import PairFigures, PairState
from pdctl.text.escape import one_line
from pdctl.text.figures import seconds

SIGNS = {PairState.OK: " ", PairState.SUSPECT: "?", PairState.BROKEN: "!", PairState.UNTRIED: "-"}


@click.command("canary")
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    default=2,
    show_default=True,
    help="How often every pair is tried; a pair that fails twice running is broken.",
)
@click.pass_obj
def command(options: Globals, rounds: int) -> int:
    """Send a tiny request through every prefill x decode pair of members, without the router.

    Says which pairs hand KV over and how fast, which fail, and whose text for the same prompt is the odd one out.
    Exit 1 where a pair is broken or suspect.
    """

    async def act(opened: Opened) -> int:
        pairs = await canary_rounds(opened.cluster, rounds)
        if options.json:
            say_json(options, "canary", {"pairs": [plain(pair) for pair in pairs]}, cluster=opened.deployment.cluster)
        else:
            show(pairs)
        return 0 if pairs and all(pair.state is PairState.OK for pair in pairs) else 1

    return read(options, act)


def show(pairs: tuple[PairFigures, ...]) -> None:
    """One line per pair, those that need attention last, where the eye is."""
    if not pairs:
        click.echo("no pair: a prefill and a decode instance have to be members")
        return
    width = max(len(f"{pair.prefill} -> {pair.decode}") for pair in pairs)
    order = list(SIGNS)
    for pair in sorted(pairs, key=lambda pair: order.index(pair.state)):
        name = f"{pair.prefill} -> {pair.decode}"
        failed = f"  {pair.failures} of {pair.tried} failed" if pair.failures else ""
        why = f"  {one_line(pair.why)}" if pair.why else ""
        click.echo(f"{SIGNS[pair.state]} {name:{width}}  {pair.state.value:8} {seconds(pair.handoff_s)}{failed}{why}")
