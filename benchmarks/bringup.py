"""What `pdctl up` adds to the start of engines that need a fixed time, and what `pdctl --help` costs.

    python benchmarks/bringup.py [--instances 1 5 32 4x8] [--startup 20] [--runs 1]

One instance is a colocated one, more are split (5: 2P3D, 32: 12P20D), each on a node of its own; 4x8 is four nodes with
eight each. The nodes are simulated ones on this machine: what their SSH servers, and 32 starts of Python for every
round of questions to all nodes, cost competes with pdctl for the same cores. So the nodes' share is printed beside
pdctl's own, in CPU seconds, which other load disturbs least; and what was added also as a multiple of the floor: one
login and one `true` on every node.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

from bringup_case import PDCTL, Case, Measured, measure, parse_case

ADDED_AIM_S = 2.0
HELP_AIM_S = 0.15
HELP_RUNS = 5


def main() -> int:
    """Run the cases one after the other; exit status 1 if a bring-up failed."""
    options = parse_options()
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; engines need {options.startup:g} s")
    help_s = help_cpu_s()
    print(f"pdctl --help: {help_s:.3f} s of CPU, {help_s / HELP_AIM_S:.2f} of the aim ({HELP_AIM_S} s)\n")
    print(HEADER)
    failed = False
    for case in options.instances:
        runs = [run_once(case, options) for _ in range(options.runs)]
        for run in runs:
            print(row(case, run, options.startup), flush=True)
            failed = failed or run.exit_code != 0
        best, middle = (pick(run.wall_s - options.startup for run in runs) for pick in (min, median))
        words = f"added {best:.2f} s at best, {middle:.2f} s in the median"
        print(
            f"{case.name:>8}  {words}: {best / ADDED_AIM_S:.2f} and {middle / ADDED_AIM_S:.2f} of {ADDED_AIM_S:g} s\n"
        )
    print(LEGEND)
    print(f"repeat: {shlex.join(['python', 'benchmarks/bringup.py', *sys.argv[1:]])}")
    return int(failed)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="what pdctl adds to the start of engines")
    default = [parse_case(name) for name in ("1", "5", "32")]
    parser.add_argument("--instances", nargs="+", type=parse_case, default=default, help="like 32, or 4x8")
    parser.add_argument("--startup", type=float, default=20.0, help="what every engine needs, in seconds")
    parser.add_argument("--runs", type=int, default=1, help="of every case")
    parser.add_argument("--trace", type=Path, help="file that gets the last run's events, with their times")
    return parser.parse_args()


def run_once(case: Case, options: argparse.Namespace) -> Measured:
    """One bring-up on fresh nodes, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="pdctl-bringup-") as directory:
        run, watched = asyncio.run(measure(case, Path(directory), options.startup))
    if options.trace:
        options.trace.write_text(json.dumps(asdict(watched)))
    return run


def help_cpu_s() -> float:
    """CPU seconds of `pdctl --help`: the best of some runs."""
    costs = []
    for _ in range(HELP_RUNS):
        silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        pid = os.posix_spawn(PDCTL, [str(PDCTL), "--help"], os.environ, file_actions=silent)
        used = os.wait4(pid, 0)[2]
        costs.append(used.ru_utime + used.ru_stime)
        time.sleep(0.05)
    return min(costs)


COLUMNS = (
    ("case", 8),
    ("wall", 7),
    ("added", 6),
    ("lease", 6),
    ("plan", 5),
    ("started", 8),
    ("late", 6),
    ("noticed", 8),
    ("canary", 7),
    ("member", 7),
    ("proof", 6),
    ("exit", 5),
    ("cpu", 6),
    ("nodes", 6),
    ("dial", 5),
    ("exec", 5),
    ("floors", 7),
    ("MiB", 4),
    ("load", 5),
)
HEADER = "".join(f"{name:>{width}}" for name, width in COLUMNS)
LEGEND = """\
All in seconds. added: wall less what an engine needs. Its parts: lease: from the start of the command to the held lease
(imports, inventory, the first login). plan: all nodes asked, steps planned. started: to the last engine process. late:
how much longer than told the engines took to open their ports (theirs, not pdctl's). noticed: from the last open port
to the last seen /health. canary, member, proof: from there to the last proven pair, the last registration, the
completion through the router. exit: from there to the end of the command.
cpu: of pdctl. nodes: of the simulated nodes' SSH servers and all that ran through them but for engines. dial, exec: the
same machine's floor: logging in to every node at once, and one `true` on every node at once; floors: added by both.
MiB: pdctl's peak. load: the machine's load average before; repeat when it is quiet.
"""


def row(case: Case, run: Measured, startup_s: float) -> str:
    cells = [
        case.name,
        f"{run.wall_s:.2f}",
        f"{run.wall_s - startup_s:.2f}",
        *(f"{phase_s:.2f}" for phase_s in run.phases_s),
        f"{run.cpu_s:.2f}",
        f"{run.nodes_cpu_s:.2f}",
        f"{run.dial_s:.2f}",
        f"{run.exec_s:.2f}",
        f"{(run.wall_s - startup_s) / (run.dial_s + run.exec_s):.0f}x",
        f"{run.peak_bytes >> 20}",
        f"{run.load:.1f}",
    ]
    text = "".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True))
    return text if run.exit_code == 0 else f"{text}\n{case.name:>8}  FAILED with {run.exit_code}: {run.complaint}"


if __name__ == "__main__":
    raise SystemExit(main())
