"""The report: medians, ratios to pdctl's, and the aims."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from fanout_rounds import Series

WALL_OF_PYINFRA_AIM = 1.0
WALL_OF_ANSIBLE_AIM = 0.25
WALL_OF_ANSIBLE_CURVE_AIM = 0.35
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
    """pdctl's figures beside the aims, which are set for 256 hosts."""
    pdctl, by_name = fresh[0], {one.name: one for one in fresh}
    lines = [f"\npdctl's part of the aims for 256 hosts, at N={hosts}:"]
    for name, aim in (
        ("pyinfra", WALL_OF_PYINFRA_AIM),
        ("ansible raw", WALL_OF_ANSIBLE_AIM),
        ("ansible raw, curve25519", WALL_OF_ANSIBLE_CURVE_AIM),
    ):
        if name in by_name:
            lines.append(f"- wall of {name}'s: {wall(pdctl) / wall(by_name[name]):.2f} (aim {aim})")
    lines += [
        f"- CPU a host, fresh, with start-up: {1000 * cpu(pdctl) / hosts:.1f} ms (aim {CPU_FRESH_AIM_MS:g})",
        f"- CPU a held command: {1000 * cpu(held[0]) / hosts:.2f} ms (aim {CPU_HELD_AIM_MS:g})",
        f"- memory: {peak_mb(pdctl):.0f} MB fresh, {peak_mb(held[0]):.0f} MB held (aim {PEAK_AIM_MB})",
    ]
    return "\n".join(lines)


def wall(series: Series) -> float:
    return median(run.wall_s for run in series.runs)


def cpu(series: Series) -> float:
    return median(run.cpu_s for run in series.runs)


def peak_mb(series: Series) -> float:
    return max(run.peak_bytes for run in series.runs) / 1e6
