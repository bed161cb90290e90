"""`pdctl bench`."""

from __future__ import annotations

import click

from pdctl.cli.lazy_group import LazyGroup

COMMANDS = {
    "match": "rate matching: how many prefill GPUs a decode instance needs, from phases measured apart",
    "run": "send a load and measure it: TTFT, ITL, throughput, goodput; goes on where it was stopped",
    "report": "what was measured: tables, charts, every request by its targets; HTML, CSV, JSON",
}


@click.group("bench", cls=LazyGroup, table=COMMANDS, package="pdctl.cli.bench")
def command() -> None:
    """Measure a cluster, or any OpenAI-compatible server, and size pools from what was measured."""
