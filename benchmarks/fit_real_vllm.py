"""Half of the loads on real vLLM are fitted to, the other half is predicted: how far off is the performance model?

One engine of vLLM for CPU (`make real-test` installs it) with a Llama of 10 million random weights, whose steps take
milliseconds, serves three shapes in closed loops and in open ones. `pdctl bench run` measures them, `pdctl advise fit
--hold-out half` fits to every other load and predicts the rest. What they print is the report.

    make bench-fit-real-vllm
    python -m benchmarks.fit_real_vllm --runs DIR --report docs/fit-real-vllm.txt [--seconds 8] [--seeds 0,1,2]

A point that is measured is not measured again: the same command goes on with DIR.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pdctl.bench.calibration import measurements
from pdctl.bench.runs.read import read_run
from pdctl.perf.measured import FIGURES, median_of_repeats
from tests.real.engine import real_engine, small_model
from tests.real.stack import INVENTORY, VENV, VOCABULARY

PDCTL = Path(sys.executable).with_name("pdctl")
CHUNK_TOKENS = 512
MAX_SEQS: int = INVENTORY["engine"]["args"]["max-num-seqs"]
CONCURRENCY = "1,2,4,8,12,16"
RATES = {"64/64": "5,12,20", "256/32": "4,8,13", "32/128": "3,6,10"}
"""A sixth, a half, and three quarters of what a closed loop of 16 reached on two cores."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="where the runs' directories are, or will be")
    parser.add_argument("--report", type=Path, help="without it, standard output")
    parser.add_argument("--seconds", type=int, default=8, help="of a point")
    parser.add_argument("--seeds", default="0,1,2", help="three: of two there is no median")
    parser.add_argument("--measured", action="store_true", help="only fit to what is there")
    options = parser.parse_args()
    if not options.measured:
        if not (VENV / "bin/vllm").exists():
            sys.exit(f"no vLLM in {VENV.name}: `make real-test` installs it")
        options.runs.mkdir(parents=True, exist_ok=True)
        asyncio.run(measure(options.runs, options.seconds, options.seeds))
    lines = list(report(sorted(options.runs.glob("*/run.json"))))
    if options.report is None:
        print("\n".join(lines))
    else:
        options.report.write_text("\n".join(lines) + "\n")
    return 0


async def measure(runs: Path, seconds: int, seeds: str) -> None:
    """Every load against one engine."""
    with tempfile.TemporaryDirectory() as scratch:
        model, flags = small_model(Path(scratch) / "model"), ("--max-num-batched-tokens", str(CHUNK_TOKENS))
        async with real_engine(Path(scratch), *flags, model=model, nixl=False) as one:
            for argv in bench_runs(f"http://127.0.0.1:{one.port}", runs, seconds, seeds):
                await asyncio.to_thread(subprocess.run, [str(PDCTL), *argv], check=True)


def bench_runs(url: str, runs: Path, seconds: int, seeds: str) -> Iterator[list[str]]:
    """The commands, without `pdctl`."""
    common = ["bench", "run", "--url", url, "--name", "cpu", "--vocab", str(VOCABULARY)]
    common += ["--duration", f"{seconds}s", "--seeds", seeds]
    yield [*common, "--scenario", ",".join(RATES), "--concurrency", CONCURRENCY, "--out", str(runs / "closed")]
    for shape, rates in RATES.items():
        out = runs / f"open-{shape.replace('/', '-')}"
        yield [*common, "--scenario", shape, "--rate", rates, "--out", str(out)]


def report(found: Sequence[Path]) -> Iterator[str]:
    """What the fit printed, how far repeats are apart, and what was measured."""
    yield "The performance model on real vLLM, on CPU: fitted on half of the loads, the other half predicted."
    yield f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; vLLM 0.32, a Llama of 10 M random weights"
    yield f"(float32, one OpenMP thread), max-num-seqs {MAX_SEQS}, max-num-batched-tokens {CHUNK_TOKENS}."
    yield "Repeat: make bench-fit-real-vllm"
    names = [path.parent.name for path in found]
    limits = ["--layout", "1M", "--max-seqs", str(MAX_SEQS), "--chunk-tokens", str(CHUNK_TOKENS)]
    fit = ["advise", "fit", *names, *limits, "--hold-out", "half"]
    yield from printed(found[0].parents[1], [*fit, "--front"])
    yield ""
    yield f"distance of a repeat from its load's median, mean: {apart(found)}"
    yield ""
    yield "Without --front, all else the same:"
    lines = list(printed(found[0].parents[1], fit))
    yield from (line for line in lines if "x/" in line or "mean absolute" in line)
    yield from printed(found[0].parents[1], ["bench", "results", *names])


def printed(runs: Path, argv: Sequence[str]) -> Iterator[str]:
    """A command of pdctl and what it prints there."""
    done = subprocess.run([PDCTL, *argv], cwd=runs, capture_output=True, text=True, check=True)
    yield ""
    yield f"$ pdctl {shlex.join(argv)}"
    yield from done.stdout.rstrip().splitlines()


def apart(found: Sequence[Path]) -> str:
    """How well a load can be measured here at all: no model can predict better than that."""
    runs = measurements([read_run(path.parent) for path in found], "1M").runs
    medians = {run.load: run.measured for run in median_of_repeats(runs)}
    off = {name: [abs(run.measured[name] / medians[run.load][name] - 1) for run in runs] for name in FIGURES}
    return ", ".join(f"{name} {100 * statistics.fmean(each):.1f} %" for name, each in off.items())


if __name__ == "__main__":
    sys.exit(main())
