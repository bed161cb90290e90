"""`pdctl bench run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pdctl.cli.bench.load_options import load_options, text_options
from pdctl.cli.global_options import Globals

_TARGET = (
    ("--url", "URL", "Any OpenAI-compatible server, instead of the inventory's router."),
    ("--model", "NAME", "Its model, as clients say it.  [default: the one in its /v1/models]"),
    ("--name", "NAME", "What the deployment is called in results.  [default: the cluster's name, or `server`]"),
    ("--api", "completions|chat", "Which endpoint: exact token ids, or words as chat.  [default: completions]"),
    ("--gpus", "N", "GPUs behind --url, for figures per GPU."),
    ("--price", "USD", "What they cost an hour together, for tokens per dollar."),
    ("--api-key-env", "VAR", "The environment variable that holds the server's key."),
    ("--driver-on", "NODE", "The node that an external driver runs on.  [default: this machine]"),
)


def _typed_options(function: Any) -> Any:
    return load_options(text_options(_TARGET, function))


@click.command("run")
@_typed_options
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Where results go; a run there goes on.")
@click.option("--resume", type=click.Path(file_okay=False, path_type=Path), help="Go on with the run in DIR.")
@click.option("--anew", is_flag=True, help="With --resume: measure points that were cut from their start.")
@click.option("--dry-run", is_flag=True, help="Say which points would be measured, and the least that they take.")
@click.pass_context
def command(
    ctx: click.Context, /, out: Path | None, resume: Path | None, anew: bool, dry_run: bool, **typed: Any
) -> int:
    """Send a load and measure it: TTFT, ITL, TPOT, throughput, goodput, how each request ended.

    Without --url the inventory's router is the target. Every request is written down as it ends: a run that was
    stopped or killed goes on with `--resume DIR` and repeats nothing.

    Exit codes: 0 every point measured, 3 some, 1 none, 4 not reachable, 130 interrupted.

    \b
    pdctl bench run --scenario mori
    pdctl bench run --scenario 8k/1k --concurrency 160,320 --repeats 3
    pdctl bench run --url http://10.0.0.1:8000 --scenario 2000/100 --rate 0.5-10:0.5 --slo ttft=1s,itl=50ms
    """
    from pdctl.cli.bench.run_perform import Place, run_bench
    from pdctl.cli.bench.run_typed import Typed

    options: Globals = ctx.obj
    return run_bench(options, Typed(**typed), Place(out, resume, anew, dry_run))
