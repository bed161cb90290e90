"""`pdctl advise fit --published`: every published row played live, and what it comes to."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from pdctl.cli.advise.fit_progress import progress
from pdctl.cli.advise.fit_published_found import Published, Refits
from pdctl.cli.advise.fit_published_json import as_json
from pdctl.cli.advise.fit_published_text import lines
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.perf.builtin_profiles import QWEN3_235B_MI300X, R1_MI300X, R1_WITHOUT
from pdctl.perf.published_fit import calibrate_r1, fit_without, say_left_out
from pdctl.perf.published_mori import fit_mori, say_attained
from pdctl.perf.published_mori import say_left_out as mori_left_out
from pdctl.perf.published_r1 import Said, say_all
from pdctl.perf.published_score import check_mori, checks_r1


def published_fit(options: Globals, *, refit: bool) -> int:
    """Print it. A missed target is said, and is no failure of the command."""
    with progress() as tell:
        refits = _refit(tell) if refit else None
        found = evaluate(tell, refits)
    if options.json:
        say_json(options, "fit_published", as_json(found), cluster="")
    else:
        for line in lines(found):
            click.echo(line)
    return 0


def evaluate(tell: Callable[[str], None], refits: Refits | None = None) -> Published:
    """Play every row with the built-in constants, and each scenario with those fitted without it."""

    def row_done(said: Said) -> None:
        tell(f"playing {said.row.scenario} at {said.row.concurrency}, {said.row.layout}")

    said = say_all(R1_MI300X.constants, on_row=row_done)
    left_out = say_left_out(R1_WITHOUT, on_row=row_done)
    points = say_attained(QWEN3_235B_MI300X.constants, QWEN3_235B_MI300X.transfer.proxy_s)
    checks = (*checks_r1(said), check_mori(points))
    return Published(said, left_out, points, checks, refits)


def _refit(tell: Callable[[str], None]) -> Refits:
    def rounds(what: str) -> Callable[[int, float], None]:
        return lambda done, rms: tell(f"fitting {what}: round {done}, rms {rms:.4f}")

    tries = iter(range(1, sys.maxsize))
    r1 = calibrate_r1(on_round=rounds("DeepSeek R1"))
    without = {name: fit_without(name, on_round=rounds(f"without {name}")) for name in R1_WITHOUT}

    def tried(loss: float) -> None:
        tell(f"fitting Qwen3-235B: try {next(tries)}, squares {loss:.0f}")

    return Refits(r1, without, fit_mori(on_try=tried), mori_left_out(on_try=tried))
