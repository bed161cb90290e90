"""`pdctl bench run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pdctl.cli.global_options import Globals

_TEXT_OPTIONS = (
    ("--url", "URL", "Any OpenAI-compatible server, instead of the inventory's router."),
    ("--model", "NAME", "Its model, as clients say it.  [default: the one in its /v1/models]"),
    ("--name", "NAME", "What the deployment is called in results.  [default: the cluster's name, or `server`]"),
    ("--api", "completions|chat", "Which endpoint: exact token ids, or words as chat.  [default: completions]"),
    ("--vocab", "N", "Token ids are drawn below this.  [default: 1000]"),
    ("--gpus", "N", "GPUs behind --url, for figures per GPU."),
    ("--price", "USD", "What they cost an hour together, for tokens per dollar."),
    ("--api-key-env", "VAR", "The environment variable that holds the server's key."),
    ("--trace", "FILE", 'Requests from a JSONL file: {"at", "input_len", "output_len"[, "prefix_id", "prefix_len"]}.'),
    (
        "--segments",
        "TEXT",
        "Phases `seconds:isl_lo-isl_hi:osl_lo-osl_hi:mult,…` of --rate times mult; or walk[:SECONDS].",
    ),
    ("--concurrency", "N,N", "So many in flight: a closed loop, or with --rate a limit (what waits is sent in order)."),
    ("--rate", "R|LO-HI:STEP,…", "Requests a second, open loop; a multiple of a --trace's own rate; `inf`: none."),
    ("--arrivals", "KIND", "poisson, constant or bursty, with --rate.  [default: poisson]"),
    ("--burstiness", "B", "Shape of the gaps, as `vllm bench serve` has it: 1 Poisson, less is more bursty."),
    ("--requests", "N", "Per point.  [default: the scenario's; else 4 x concurrency, at least 100]"),
    ("--duration", "TIME", "Per point: nothing is sent after that."),
    ("--deadline", "TIME", "The longest that one request may take.  [default: 30m]"),
    ("--seeds", "N,N", "Each point once for each.  [default: 0]"),
    ("--repeats", "N", "The same as --seeds 0,1,…,N-1."),
    ("--slo", "ttft=T,itl=T", "Targets of goodput.  [default: the inventory's; else the scenario's]"),
    ("--criterion", "p99-itl|tpot", "Which of a request's times between tokens has to meet itl."),
    ("--counted-from", "sent|due", "From when latencies count.  [default: sent]"),
    ("--driver", "NAME", "Who sends: builtin, vllm (`vllm bench serve`), guidellm, aiperf.  [default: builtin]"),
    ("--driver-on", "NODE", "The node that an external driver runs on.  [default: this machine]"),
    ("--driver-program", "PROGRAM", "How it is started there.  [default: by its name]"),
    (
        "--tokenizer",
        "PATH",
        "The tokenizer that it needs.  [default: the inventory's model path; else the model's name]",
    ),
    ("--warm-up", "N", "Uncounted requests per shape before each point.  [default: 2]"),
    ("--stall", "TIME", "A point for which nothing comes for so long ends.  [default: 2m]"),
)


def _typed_options(function: Any) -> Any:
    for name, metavar, about in reversed(_TEXT_OPTIONS):
        function = click.option(name, metavar=metavar, help=about)(function)
    return function


@click.command("run")
@click.option(
    "--scenario",
    multiple=True,
    metavar="NAME",
    help="1k/1k, 1k/8k, 8k/1k, 8k/8k (with the loads that they were published with), mori, llmd, or ISL/OSL in tokens.",
)
@_typed_options
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Where results go; a run there goes on.")
@click.option("--resume", type=click.Path(file_okay=False, path_type=Path), help="Go on with the run in DIR.")
@click.option("--anew", is_flag=True, help="With --resume: measure points that were cut from their start.")
@click.option("--dry-run", is_flag=True, help="Say which points would be measured, and the least that they take.")
@click.pass_context
def command(ctx: click.Context, out: Path | None, resume: Path | None, anew: bool, dry_run: bool, **typed: Any) -> int:
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
