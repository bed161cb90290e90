"""Soak: moves to and fro between 2P3D and 1P4D under streaming load, READ and WRITE; nothing may be lost.

Every piece is one `pdctl demo --headless --moves N`, with nodes of its own: simulated engines, the real vllm-router,
the ordinary `up`, `move` and `down`. What each came to is a line of the report; the last lines are the sums. Exits with
1 unless every move was done and every request was answered whole.

    python benchmarks/moves_soak.py --moves 100 --out docs/moves-soak.txt
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

PDCTL = Path(sys.executable).with_name("pdctl")
COUNTS = ("moves", "requests", "ok", "failed", "aborted", "error", "cut", "refused", "moves_cut", "in_flight_at_fence")
PIECE_S = 900.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=100, help="of both modes together")
    parser.add_argument("--piece", type=int, default=13, help="moves of one demo; between two of them all is down")
    parser.add_argument("--requests", type=int, default=5000, help="fewer of both modes together are a failure")
    parser.add_argument("--out", type=Path, help="the report; without it, standard output")
    parser.add_argument("--wrap", default="", help="a command in front of each piece, to hold a lock for instance")
    options = parser.parse_args()
    lines = [
        "Moves under load: `make moves-soak`.",
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()};"
        " simulated engines, vllm-router.",
        "Lost are requests that did not end ok: aborted, error, cut, refused. `moves_cut` are requests that a drain's",
        "deadline cut. `in_flight_at_fence` are requests that an engine had in hand when it left the router.",
        "",
    ]
    sums = dict.fromkeys(COUNTS, 0)
    good = True
    for mode in ("read", "write"):
        left = options.moves // 2
        while left > 0:
            count = min(options.piece, left)
            left -= count
            found = piece(mode, count, options.wrap)
            good = good and found["exit_code"] == 0 and found.get("moves") == count
            lines.append(told(found))
            for name in COUNTS:
                sums[name] += found.get(name) or 0
            report([*lines, *totals(sums)], options.out)
    good = good and not sums["failed"] and not sums["moves_cut"] and sums["requests"] >= options.requests
    report([*lines, *totals(sums), "", "nothing was lost" if good else "NOT GOOD"], options.out)
    return 0 if good else 1


def piece(mode: str, moves: int, wrap: str) -> dict[str, Any]:
    """The summary of one demo."""
    argv = [*shlex.split(wrap), str(PDCTL), "demo", "--headless", "--json", "--mode", mode, "--moves", str(moves)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PIECE_S * 4)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for line in lines:
        if line["event"] in ("step_failed", "error"):
            print(json.dumps(line), file=sys.stderr)
    if not lines or lines[-1]["event"] != "summary":
        raise SystemExit(f"{shlex.join(argv)} ended with {done.returncode}: {done.stderr[-2000:]}")
    summary: dict[str, Any] = lines[-1]
    return summary


def told(found: dict[str, Any]) -> str:
    counts = " ".join(f"{name}={found.get(name)}" for name in COUNTS)
    phases = found.get("move_phases_s") or {}
    times = " ".join(f"{name}={spread['p50']:.2f}/{spread['max']:.2f}" for name, spread in phases.items())
    latency = f"ttft_p50={found['ttft_p50_s']} itl_p99={found['itl_p99_s']}"
    trouble = f"\n    ! {found['moves_trouble']}" if found.get("moves_trouble") else ""
    seconds = f"load_s={found['load_s']} exit={found['exit_code']}"
    return f"{found['mode']:5} {counts} {seconds} {latency}\n    seconds p50/max: {times}{trouble}"


def totals(sums: dict[str, int]) -> list[str]:
    return ["", "sum   " + " ".join(f"{name}={value}" for name, value in sums.items())]


def report(lines: list[str], out: Path | None) -> None:
    text = "\n".join(lines) + "\n"
    if out is None:
        print(text)
    else:
        out.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
