"""`pdctl advise fit RUN_DIR...`: the model's constants from the directories of benchmark runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from pdctl.bench.calibration import measurements, served_by
from pdctl.bench.profile_store import save_profile
from pdctl.bench.runs.read import Run, read_run
from pdctl.cli.advise.fit_base import base_profile
from pdctl.cli.advise.fit_directories_view import as_json, lines
from pdctl.cli.advise.fit_progress import progress
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.errors import TooThin
from pdctl.model.deployment import Parallel
from pdctl.perf.measured import halves, median_of_repeats
from pdctl.perf.measured_fit import fit_runs


def directories_fit(options: Globals, asked: Mapping[str, Any]) -> int:
    """Fit, print, and save where that was asked for. Raises TooThin where the runs do not tell the constants."""
    found = [read_run(path) for path in asked["runs"]]
    measured = measurements(found, asked["layout"])
    if not measured.runs:
        raise TooThin(
            f"no load to fit to: {'; '.join(measured.left_out) or 'the runs have no points'}",
            hint="`pdctl bench run` measures some",
        )
    runs = median_of_repeats(measured.runs)
    fitted, predicted = halves(runs) if asked["hold_out"] else (runs, ())
    source = ", ".join(str(run.path) for run in found)
    base = base_profile(asked, model=_model(found), parallel=_parallel(found), source=source)
    with progress() as tell:
        result = fit_runs(
            fitted,
            base,
            predict=predicted,
            guess=not asked["start"],
            front=asked["front"],
            on_round=lambda done, rms: tell(f"fitting: round {done}, rms {rms:.4f}"),
        )
    saved = save_profile(result.profile) if asked["save"] else None
    if options.json:
        say_json(options, "fit_runs", as_json(result, measured.left_out, saved), cluster="")
    else:
        for line in lines(result, measured.left_out, saved):
            click.echo(line)
    return 0


def _model(runs: list[Run]) -> str:
    """The model of all the runs; "" where they differ."""
    names = {target.model for run in runs for target in run.meta.definition.targets.values()}
    return names.pop() if len(names) == 1 else ""


def _parallel(runs: list[Run]) -> Parallel | None:
    """The shape of all instances; None where the runs do not say, or differ."""
    served = {served_by(target.layout) for run in runs for target in run.meta.definition.targets.values()}
    shapes = {one.parallel for one in served if one is not None}
    return shapes.pop() if len(shapes) == 1 and None not in served else None
