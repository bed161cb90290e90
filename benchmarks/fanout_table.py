"""The report: medians, ratios to pdctl's, and the aims."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from fanout_rounds import Series

WALL_AIMS = {"pyinfra": 1.0, "ansible raw": 0.25, "ansible raw, curve25519": 0.35}
CPU_FRESH_AIM_MS = 6.0
CPU_HELD_AIM_MS = 1.0
PEAK_AIM_MB = 80

LEGEND = """
wall: seconds, median (smallest - largest). CPU: of the tool and the children it waits for, in seconds, and in
milliseconds a host; a background ControlMaster's is not in it. Of pdctl's: the tool's median over pdctl's. MB: largest
resident memory of all the tool's processes together, shared pages counted in each.
pdctl and pyinfra hold connections within one process and are measured inside it; ansible and pdsh hold them by
ControlPersist and start anew for every command. curve25519: OpenSSH made to use the key exchange that asyncssh and
paramiko agree on with it, instead of its own post-quantum one."""


def table(title: str, series: Sequence[Series], hosts: int) -> str:
    """A Markdown table; the first series is the measure of the others."""
    lines = [
        f"\n{title}",
        "",
        "| tool | wall s | of pdctl's | CPU s | ms/host | of pdctl's | MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in series:
        walls = [run.wall_s for run in one.runs]
        lines.append(
            f"| {one.name} | {wall(one):.2f} ({min(walls):.2f} - {max(walls):.2f}) | {wall(one) / wall(series[0]):.2f} "
            f"| {cpu(one):.2f} | {1000 * cpu(one) / hosts:.1f} | {cpu(one) / cpu(series[0]):.1f} | {peak_mb(one):.0f} |"
        )
    return "\n".join(lines)


def aims(fresh: Sequence[Series], held: Sequence[Series], hosts: int) -> str:
    """pdctl's figures beside the aims, which are set for 256 hosts; none for a phase that was left out."""
    lines = [f"\npdctl beside the aims for 256 hosts, at N={hosts}:"]
    if fresh[0].runs:
        lines += [
            f"- wall of {one.name}'s: {wall(fresh[0]) / wall(one):.2f} (aim {WALL_AIMS[one.name]})"
            for one in fresh
            if one.name in WALL_AIMS
        ]
        lines.append(f"- CPU a host, with start-up: {1000 * cpu(fresh[0]) / hosts:.1f} ms (aim {CPU_FRESH_AIM_MS:g})")
        lines.append(f"- memory, fresh: {peak_mb(fresh[0]):.0f} MB (aim {PEAK_AIM_MB})")
    if held:
        lines.append(f"- CPU a held command: {1000 * cpu(held[0]) / hosts:.2f} ms (aim {CPU_HELD_AIM_MS:g})")
        lines.append(f"- memory, held: {peak_mb(held[0]):.0f} MB (aim {PEAK_AIM_MB})")
    return "\n".join(lines)


def wall(series: Series) -> float:
    return median(run.wall_s for run in series.runs)


def cpu(series: Series) -> float:
    return median(run.cpu_s for run in series.runs)


def peak_mb(series: Series) -> float:
    return max(run.peak_bytes for run in series.runs) / 1e6
