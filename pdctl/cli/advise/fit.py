"""`pdctl advise fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pdctl.cli.global_options import Globals
from pdctl.errors import UsageError


@click.command("fit")
@click.argument("runs", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="[RUN_DIR]...")
@click.option("--published", is_flag=True, help="Hold the built-in profiles against the published tables.")
@click.option("--refit", is_flag=True, help="With --published: fit anew from the start (minutes), and compare.")
@click.option("--from-live", is_flag=True, help="Fit to what the live cluster's engines export, or to --recording.")
@click.option("--for", "watch_s", default="5m", show_default=True, help="With --from-live: watch for so long.")
@click.option(
    "--recording",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --from-live: take a recording of `pdctl top --record`, not the cluster.",
)
@click.option("--hold-out", type=click.Choice(["half"]), help="Fit to every other load, and predict the rest.")
@click.option("--layout", help="What served the runs, where they do not say: 2P3D, or 1M for one server.")
@click.option("--shape", help="Of one instance, where the runs do not say: tp4, dp8+ep.  [default: tp1]")
@click.option("--start", help="A profile to begin with: its limits, transfer, and constants.")
@click.option("--gpu", default="", help="The GPU kind, as inventories say it.")
@click.option("--chunk-tokens", type=click.IntRange(1), help="The engines' max-num-batched-tokens.  [default: 8192]")
@click.option("--max-seqs", type=click.IntRange(1), help="The engines' max-num-seqs.  [default: 1024]")
@click.option("--front", is_flag=True, help="Fit what client and API server add, too: where steps last milliseconds.")
@click.option("--save", metavar="NAME", help="Keep what was fitted as a profile, for `pdctl advise --profile NAME`.")
@click.pass_obj
def command(options: Globals, /, published: bool, from_live: bool, refit: bool, **asked: Any) -> int:
    """Fit the performance model's constants to measured runs, and say how far off it is.

    RUN_DIR: directories of `pdctl bench run`. Every load is played by the model; what it says is compared with what was
    measured. Refuses where the runs cover too little, and says which constants they do not tell.

    --published: plays every published row with the built-in constants, which were fitted on four of them, and prints
    each row's error.
    """
    chosen = [bool(asked["runs"]), published, from_live]
    if sum(chosen) != 1:
        raise UsageError("give one of: run directories, --published, --from-live", hint="`pdctl advise fit --help`")
    if refit and not published:
        raise UsageError("--refit is of --published")
    if published:
        from pdctl.cli.advise.fit_published import published_fit

        return published_fit(options, refit=refit)
    if from_live:
        from pdctl.cli.advise.fit_live import live_fit

        return live_fit(options, asked)
    from pdctl.cli.advise.fit_directories import directories_fit

    return directories_fit(options, asked)
