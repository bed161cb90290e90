"""`pdctl bench`."""

from __future__ import annotations

import click

from pdctl.cli.lazy_group import LazyGroup

COMMANDS = {
    "compare": "deployments one after another on the same nodes, and how much better each is than the first",
    "diff": "what changed from one run to a later one, and whether the seeds support it",
    "match": "rate matching: how many prefill GPUs a decode instance needs, from phases measured apart",
    "sweep": "prefill, decode or aggregated alone, over widths and concurrencies, on free nodes",
    "candidates": "write layouts as inventories on the same nodes: 2p-tp1-1d-tp2, agg-tp4",
    "pareto": "which deployments no other beats in tokens per user and per GPU, and which lead where",
    "run": "send a load and measure it: TTFT, ITL, throughput, goodput; goes on where it was stopped",
    "results": "results of runs, and of files that vllm bench serve or SGLang wrote, side by side; written as theirs",
    "score": "a run scored so that it compares with Narwhal's: misses by cause, goodput, moves; its journals",
    "eval": "whether a cluster still answers as well as its baseline: lm-eval's tasks through the router",
    "report": "what was measured: tables, charts, every request by its targets; HTML, CSV, JSON",
}


@click.group("bench", cls=LazyGroup, table=COMMANDS, package="pdctl.cli.bench")
def command() -> None:
    """Measure a cluster, or any OpenAI-compatible server, and size pools from what was measured."""
