"""From the typed words of `pdctl bench compare` to what is compared: by names, or by a directory that goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from pdctl.bench.campaign.contender import FOLDER, contenders, find_inventory
from pdctl.bench.drivers.chosen import DRIVERS
from pdctl.bench.runs.meta import read_meta
from pdctl.cli.bench.compare_perform import Asked, compare, foresee
from pdctl.cli.bench.run_typed import Typed, read
from pdctl.cli.global_options import Globals
from pdctl.cli.session import refuse_read_only
from pdctl.errors import UsageError

_RUNS = Path("bench")


@dataclass(frozen=True, slots=True)
class Way:
    """What the options say beside the load."""

    out: Path | None
    resume: Path | None
    anew: bool
    skip_checks: bool
    dry_run: bool


def compare_asked(ctx: click.Context, names: Sequence[str], load: Mapping[str, Any], way: Way) -> int:
    """Returns the exit code. Raises PdctlError before anything is done."""
    common: Globals = ctx.obj
    refuse_read_only(common, "bench compare")
    typed = Typed(**load)
    if way.resume is not None:
        if names or typed != Typed() or way.out is not None:
            raise UsageError("--resume says what is compared, and how", hint="leave names and loads out")
        return _again(ctx, way.resume, way)
    paths = [find_inventory(name, _places(common)) for name in names]
    compared = contenders(paths)
    if typed.trace is not None:
        typed = replace(typed, trace=str(Path(typed.trace).resolve()))  # --resume may be typed elsewhere
    wanted = read(typed, DRIVERS)
    again = ("compare", *(str(path.resolve()) for path in paths), *typed.arguments())
    asked = Asked(typed, wanted, way.skip_checks, way.anew, (*again, *(["--skip-checks"] if way.skip_checks else [])))
    directory = way.out or _RUNS / f"{time.strftime('%Y%m%d-%H%M%S')}-compare"
    act = foresee if way.dry_run else compare
    return act(common, compared, asked, directory)


def _places(options: Globals) -> list[Path]:
    return [Path(FOLDER), options.inventory.parent, options.inventory.parent / FOLDER]


def _again(ctx: click.Context, directory: Path, way: Way) -> int:
    meta = read_meta(directory)
    if meta.arguments[:1] != ("compare",):
        raise UsageError(f"{directory} is no comparison", hint="`pdctl bench run --resume` goes on with other runs")
    words = [*meta.arguments[1:], "--out", str(directory)]
    words += [*(["--anew"] if way.anew else []), *(["--dry-run"] if way.dry_run else [])]
    words += ["--skip-checks"] if way.skip_checks and "--skip-checks" not in words else []
    with ctx.command.make_context("compare", words, parent=ctx.parent, obj=ctx.obj) as again:
        code: int = ctx.command.invoke(again)
    return code
