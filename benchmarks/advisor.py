"""What an advice costs: all splits of a five-node fleet ranked, cold and warm; simulated requests per second.

- cold: `pdctl advise` as an operator runs it, a process of its own: CPU of the whole, at most 1 s;
- warm: the ranking of the five nodes' splits and of colocated serving in a process that has done it before: at most
  100 ms;
- simulated requests per second of CPU on one core, on the published runs of the largest concurrency.

    python benchmarks/advisor.py
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from pdctl.advisor.advise import Question, advise, steady
from pdctl.advisor.fleet_of import fleet_of
from pdctl.advisor.rank import Objective
from pdctl.control.read_deployment import read_deployment
from pdctl.model.deployment import Slo
from pdctl.perf.builtin_profiles import BUILTIN
from pdctl.perf.published import r1_load, r1_rows
from pdctl.perf.simulate import simulate

PDCTL = Path(sys.executable).with_name("pdctl")
INVENTORY = Path(__file__).parents[1] / "inventories" / "r1-2p3d.yaml"
WORKLOAD = ("--isl", "8192", "--osl", "1024", "--rate", "1.2", "--slo", "ttft=10s,itl=150ms")
BARS_S = {"cold": 1.0, "warm": 0.1}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    good = True
    for name, run in (("cold", cold_s), ("warm", warm())):
        took = [run() for _ in range(options.runs)]
        good = good and median(took) <= BARS_S[name]
        middle, most, bar = (round(value * 1e3) for value in (median(took), max(took), BARS_S[name]))
        print(f"{name:5} CPU p50 {middle:5} ms  max {most:5} ms  bar {bar} ms")
    requests, spent_s = simulated()
    print(f"simulated: {requests} requests in {spent_s:.2f} s of CPU, {requests / spent_s:,.0f} a second and core")
    print("again: python benchmarks/advisor.py")
    return 0 if good else 1


def cold_s() -> float:
    """CPU seconds of one `pdctl advise`, its interpreter's start in it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([PDCTL, "advise", "-i", INVENTORY, *WORKLOAD], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def warm() -> Callable[[], float]:
    """The same question again and again in this process."""
    deployment = read_deployment(INVENTORY)[1]
    profiles = tuple(BUILTIN.values())

    def once() -> float:
        began_s = time.process_time()
        question = Question(steady(1.2, 8192, 1024, seeds=2), Slo(10.0, 0.15, 0.95), Objective.GOODPUT, "benchmark")
        advise(fleet_of(deployment, profiles), question)
        return time.process_time() - began_s

    once()
    return once


def simulated() -> tuple[int, float]:
    """Requests, and CPU seconds, of all published runs at concurrency 480."""
    requests, spent_s = 0, 0.0
    for row in r1_rows():
        if row.concurrency == 480:
            load, layout = r1_load(row), BUILTIN["r1-mi300x-ep8"].layout(row.layout)
            began_s = time.process_time()
            requests += len(simulate(layout, load).flights)
            spent_s += time.process_time() - began_s
    return requests, spent_s


if __name__ == "__main__":
    sys.exit(main())
