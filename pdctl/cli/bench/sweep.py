"""`pdctl bench sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.tokens_type import TOKENS
from pdctl.errors import UsageError

if TYPE_CHECKING:
    from pdctl.bench.sweeps.configuration import Configuration, Offer

_CONCURRENCIES = {"prefill": "1,4,8,16", "decode": "4,8,16,32,64", "aggregated": "4,8,16,32,64"}


@click.command("sweep")
@click.argument("phase", type=click.Choice(["prefill", "decode", "aggregated"]))
@click.option("--tp", default="1", show_default=True, metavar="N,N", help="Tensor parallel sizes.")
@click.option("--dp", default="1", show_default=True, metavar="N,N", help="Data parallel sizes, each with each --tp.")
@click.option(
    "--concurrency", metavar="N,N", help="Requests in flight.  [default: 1,4,8,16 for prefill, else 4,8,16,32,64]"
)
@click.option("--isl", type=TOKENS, default=4096, show_default=True, help="Prompt tokens of a request.")
@click.option("--osl", type=TOKENS, default=256, show_default=True, help="Output tokens; of prefill 1.")
@click.option("--requests", type=click.IntRange(1), help="Of a point.  [default: 4 x concurrency, at least 32]")
@click.option("--vocab", type=click.IntRange(1), default=1000, show_default=True, help="Token ids are below this.")
@click.option("--seeds", default="0", show_default=True, metavar="N,N", help="Each point once for each.")
@click.option(
    "--gpu-budget", type=click.IntRange(1), help="GPUs in use at once, at most.  [default: all that are free]"
)
@click.option("--on", metavar="NODE,NODE", help="Only these nodes.  [default: every node on which no engine runs]")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Where results go.  [default: bench/sweep-CLUSTER]"
)
@click.option("--skip-checks", is_flag=True, help="Bring up without checking the nodes first.")
@click.option("--dry-run", is_flag=True, help="Say what would be measured; touch nothing.")
@click.pass_obj
def command(
    options: Globals,
    phase: str,
    tp: str,
    dp: str,
    concurrency: str | None,
    isl: int,
    osl: int,
    requests: int | None,
    vocab: int,
    seeds: str,
    gpu_budget: int | None,
    on: str | None,
    out: Path | None,
    skip_checks: bool,
    dry_run: bool,
) -> int:
    """Measure one phase by itself, for every width and concurrency, on nodes where no engine runs.

    Each width is one mixed instance: for prefill it is asked for one token, for decode its KV cache is filled with
    dummy values (vLLM's DecodeBenchConnector). What fits on a node at once is one cluster there, called
    CLUSTER-sweep-NODE; the load goes straight to the engines; all is taken down at the end, and after Ctrl-C. A width
    that is measured is not measured again. OUT/profile.yaml gathers all phases for `pdctl bench match`.

    \b
    pdctl bench sweep prefill --tp 1,2,4 && pdctl bench sweep decode --tp 2
    pdctl bench match --profile bench/sweep-CLUSTER/profile.yaml --slo ttft=1s
    """
    from pdctl.bench.sizing.points import Phase
    from pdctl.bench.sweeps.configuration import Offer, configurations
    from pdctl.cli.bench.sweep_perform import Asked, perform
    from pdctl.inventory.load import load

    users = concurrency or _CONCURRENCIES[phase]
    loads, drawn = _numbers(users, "--concurrency"), _numbers(seeds, "--seeds", least=0)
    offer = Offer(isl, osl, loads, requests, drawn, vocab=vocab)
    wanted = tuple(configurations(Phase(phase), _numbers(tp, "--tp"), _numbers(dp, "--dp")))
    base = load(options.inventory)
    directory = out or Path("bench") / f"sweep-{base.spec.cluster}"
    only = tuple(name.strip() for name in on.split(",")) if on else ()
    for name in only:
        if name not in base.spec.nodes:
            raise UsageError(f"--on {name}: no such node", hint=f"nodes: {', '.join(base.spec.nodes)}")
    asked = Asked(base, offer, wanted, directory, only, gpu_budget, skip_checks)
    if dry_run:
        _say(asked.wanted, asked.offer, directory)
        return 0
    return perform(options, asked)


def _say(wanted: tuple[Configuration, ...], offer: Offer, directory: Path) -> None:
    for each in wanted:
        points = offer.points(each)
        requests = sum(len(point.workload.asked) for point in points)
        click.echo(f"{each.name}: {each.width.gpus} GPUs, {len(points)} points, {requests} requests")
    click.echo(f"into {directory}")


def _numbers(text: str, option: str, *, least: int = 1) -> tuple[int, ...]:
    try:
        found = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise UsageError(f"{option} takes numbers, not {text!r}", hint=f"{option} 1,2,4") from None
    if min(found) < least:
        raise UsageError(f"{option} takes numbers from {least} on, not {text!r}", hint=f"{option} 1,2,4")
    return found
