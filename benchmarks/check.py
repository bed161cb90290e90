"""`pdctl check` on many hosts of the lab: wall time beside the slowest host's own collection, controller CPU a host.

    python benchmarks/check.py [--hosts 64] [--runs 3]        as root: the lab makes the hosts

Every host is a set of namespaces with an sshd of its own, the /sys and /proc of a node with eight MI300X and eight
ConnectX-7, and stand-ins for the tools. All of them share this machine's cores with pdctl, so a collection takes far
longer than on a node of its own; what is judged is what pdctl adds to it. CPU is that of the pdctl process alone, its
start and imports included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from pdctl.sim.standins.host import Shape
from tests.lab.gpu_host import gpu_host
from tests.lab.inventory_for import Wanted, inventory_for
from tests.lab.lab import Lab

RATIO_AIM = 1.5
CPU_AIM_MS = 40.0
SETTINGS = """
checks:
  gate: true
  thresholds: {memlock_bytes: 4194304, nofile: 4096}
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One `pdctl check`. `slowest_s`: the longest collection, by that host's own clock."""

    wall_s: float
    slowest_s: float
    cpu_s: float
    hosts: int
    failures: Mapping[str, int]

    @property
    def ratio(self) -> float:
        return self.wall_s / self.slowest_s

    @property
    def cpu_ms_a_host(self) -> float:
        return 1000 * self.cpu_s / self.hosts


def main() -> int:
    """Run it; exit status 1 if an aim is missed or a host was not collected whole."""
    parser = argparse.ArgumentParser(description="pdctl check on many hosts")
    parser.add_argument("--hosts", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; {options.hosts} hosts", flush=True)
    runs = asyncio.run(measured(options.hosts, options.runs))
    good = True
    for run in runs:
        print(
            f"wall {run.wall_s:.2f} s, slowest host's own {run.slowest_s:.2f} s: {run.ratio:.2f}x; "
            f"CPU {run.cpu_ms_a_host:.1f} ms a host; findings that should not be: {dict(run.failures) or 'none'}"
        )
        good = good and not run.failures
    ratio, cpu = (median(figures) for figures in ([run.ratio for run in runs], [run.cpu_ms_a_host for run in runs]))
    print(f"median: {ratio:.2f}x (aim {RATIO_AIM}x), {cpu:.1f} ms a host (aim {CPU_AIM_MS:g} ms)")
    return 0 if good and ratio <= RATIO_AIM and cpu <= CPU_AIM_MS else 1


async def measured(count: int, runs: int) -> list[Run]:
    with tempfile.TemporaryDirectory() as directory:
        async with Lab(1, gpu_host(Shape("h1", 1))) as lab:
            for number in range(2, count + 1):
                await lab.add(1, gpu_host(Shape(f"h{number}", number)))
            half = count // 2
            text = inventory_for(lab, Wanted(prefill=half, decode=count - half, sections=SETTINGS))
            return [check_once(text, Path(directory), count) for _ in range(runs)]


def check_once(inventory: str, home: Path, hosts: int) -> Run:
    """One check by a process of its own, in the lab's network as this thread is."""
    (home / "inventory.yaml").write_text(inventory)
    start = "from pdctl.cli.main import main; main()"
    argv = [sys.executable, "-c", start, "--json", "-i", str(home / "inventory.yaml"), "check"]
    environment = {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home / "state")}
    began = time.monotonic()
    with (home / "out").open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, env=environment, stdin=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - began
    lines = [json.loads(line) for line in (home / "out").read_text().splitlines()]
    seconds = [line["seconds"] for line in lines if line["event"] == "node_collected"]
    (report,) = (line for line in lines if line["event"] == "check")
    failures = Counter(finding["check"] for finding in report["findings"] if finding["verdict"] == "fail")
    if len(seconds) < hosts:
        failures["not collected"] = hosts - len(seconds)
    return Run(wall_s, max(seconds), usage.ru_utime + usage.ru_stime, hosts, failures)


if __name__ == "__main__":
    sys.exit(main())
