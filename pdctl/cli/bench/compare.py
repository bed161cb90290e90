"""`pdctl bench compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pdctl.cli.bench.load_options import load_options

_SAYS = {
    "--rate": "Requests a second: attainment over rates, as 0.5-10:0.5.",
    "--repeats": "The same as --seeds 0,1,…,N-1: how sure the differences are.",
    "--slo": "Targets of goodput.  [default: the first inventory's]",
    "--driver-program": "How it is started, on this machine.  [default: by its name]",
    "--tokenizer": "The tokenizer that it needs.  [default: the first inventory's model path]",
}


def _typed_options(function: Any) -> Any:
    return load_options(function, _SAYS)


@click.command("compare")
@click.argument("names", nargs=-1, metavar="INVENTORY...")
@_typed_options
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Where results go; a run there goes on.")
@click.option("--resume", type=click.Path(file_okay=False, path_type=Path), help="Go on with the comparison in DIR.")
@click.option("--anew", is_flag=True, help="With --resume: measure points that were cut from their start.")
@click.option("--skip-checks", is_flag=True, help="Bring up without checking the nodes first.")
@click.option("--dry-run", is_flag=True, help="Say what would be brought up and measured, and the least that it takes.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    names: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
    anew: bool,
    skip_checks: bool,
    dry_run: bool,
    **load: Any,
) -> int:
    """Bring up one INVENTORY after another on the same nodes, send each the same requests, take it down.

    The first one is the baseline. A name is a file, or one in inventories/ without its ending. Ctrl-C takes the present
    one down; `--resume DIR` goes on and repeats nothing that was measured.

    \b
    pdctl bench compare r1-colocated r1-2p3d r1-1p4d --scenario 8k/1k --scenario 1k/8k
    pdctl bench compare standard-2xtp4 mori-1p1d-write --scenario mori --repeats 3
    """
    from pdctl.cli.bench.compare_asked import Way, compare_asked

    return compare_asked(ctx, names, load, Way(out, resume, anew, skip_checks, dry_run))
