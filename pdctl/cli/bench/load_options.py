"""The options that say what is offered and how it is judged, alike in every command that sends a load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

TextOption = tuple[str, str, str]
"""Name, metavar, help: its text is read by `run_typed`, so that every mistake is told at once."""

_SCENARIOS = (
    "1k/1k, 1k/8k, 8k/1k, 8k/8k (with the loads that they were published with), mori, llmd, or ISL/OSL in tokens."
)
LOAD: tuple[TextOption, ...] = (
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
    ("--driver-program", "PROGRAM", "How it is started there.  [default: by its name]"),
    (
        "--tokenizer",
        "PATH",
        "The tokenizer that it needs.  [default: the inventory's model path; else the model's name]",
    ),
    ("--vocab", "N", "Token ids are drawn below this.  [default: 1000]"),
    ("--warm-up", "N", "Uncounted requests per shape before each point.  [default: 2]"),
    ("--stall", "TIME", "A point for which nothing comes for so long ends.  [default: 2m]"),
)


def text_options(options: Sequence[TextOption], function: Any) -> Any:
    """`function` with those options, in their order."""
    for name, metavar, about in reversed(options):
        function = click.option(name, metavar=metavar, help=about)(function)
    return function


def load_options(function: Any, says: Mapping[str, str] | None = None) -> Any:
    """`function` with --scenario and all of LOAD. `says`: the help of options that mean something of their own."""
    own = says or {}
    function = text_options([(name, kind, own.get(name, about)) for name, kind, about in LOAD], function)
    return click.option("--scenario", multiple=True, metavar="NAME", help=_SCENARIOS)(function)
