"""`pdctl bundle`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import read
from pdctl.control.hand_over import HandOver, hand_over
from pdctl.control.opened import Opened
from pdctl.errors import UsageError
from pdctl.text.escape import one_line


@click.command("bundle")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--recording", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Of `watch --record`.")
@click.option("--minutes", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Of the recording.")
@click.pass_obj
def command(options: Globals, file: Path, recording: Path | None, minutes: float) -> int:
    """Put everything that explains the cluster into one .tar.gz, for a bug report or a hand-over.

    Inventory, status, journal, logs, what `check` collects, and the end of a recording. Values of the inventory's
    secrets, and what looks like one, are taken out; look through it all the same before it leaves the house.
    """

    async def act(opened: Opened) -> int:
        bundle = await hand_over(
            opened,
            recording=recording,
            minutes=minutes,
            now_s=time.time(),
            progress=lambda part: click.echo(f"{part} ...", err=True),
        )
        _write(bundle, file)
        hidden = sum(bundle.redactor.hidden.values())
        if options.json:
            told = {"file": str(file), "parts": sorted(bundle.parts), "missing": bundle.missing, "redacted": hidden}
            say_json(options, "bundle", told, cluster=opened.deployment.cluster)
        else:
            click.echo(f"{file}: {len(bundle.parts)} files, {hidden} secrets taken out")
            for name, why in bundle.missing.items():
                click.echo(f"? {one_line(name)} is missing: {one_line(why)}")
        return 0

    return read(options, act)


def _write(bundle: HandOver, file: Path) -> None:
    try:
        bundle.write(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}") from error
