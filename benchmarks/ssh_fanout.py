"""`pdctl exec` against ansible-core, pyinfra and pdsh: one trivial command on many SSH servers of this machine.

    python benchmarks/ssh_fanout.py [--hosts 16 64 256] [--runs 3] [--venv .venv-fanout] [--held-max 1000]

The servers are real OpenSSH ones on loopback, made and removed here; fanout_tools.py says how each tool is called.
Runs are interleaved (every tool once, then again), so that other load meets all of them; wall times are good for
ratios only, as servers and clients share the cores. First each tool has to refuse a host with a wrong key.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fanout_hosts import SSHD, Fleet, hosting
from fanout_measure import Measured, measure
from fanout_rounds import Series, held_rounds
from fanout_table import LEGEND, aims, table
from fanout_tools import AT_ONCE, Invocation, Setting, Tool, tools

LIMIT_S = 180.0
KEY_CHECK_HOSTS = 4


def main() -> int:
    """Exit status 1 if a tool ran on fewer hosts than there are, or pdctl took a lost host for a good one."""
    options = parse_options()
    if SSHD is None:
        print("skipped: there is no OpenSSH server (sshd) on this machine")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the tool under way is killed, as by Ctrl-C
    found, absent = tools(options.venv, curve=not options.no_curve)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; {AT_ONCE} logins at once"
    )
    for line in absent:
        print(line)
    with hosting(KEY_CHECK_HOSTS) as fleet:
        setting = Setting(fleet, KEY_CHECK_HOSTS, fleet.known_hosts)
        good = all([refuses_a_wrong_key(tool, setting) for tool in found])  # noqa: C419 (all of them are told)
    for hosts in options.hosts:
        servers = min(hosts, options.servers)
        with hosting(servers, hosts) as fleet:
            setting = Setting(fleet, hosts, fleet.known_hosts)
            good = compare(found, setting, options) and good
    if options.held_max:
        with hosting(min(options.held_max, options.servers), options.held_max) as fleet:
            good = hold_many(fleet, options.held_max) and good
    if not options.no_faults:
        good = tells_lost_hosts() and good
    print(LEGEND)
    print(f"repeat: {shlex.join(['python', 'benchmarks/ssh_fanout.py', *sys.argv[1:]])}")
    return int(not good)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="pdctl exec against ansible, pyinfra and pdsh")
    parser.add_argument("--hosts", nargs="+", type=int, default=[16, 64, 256], help="cases")
    parser.add_argument("--runs", type=int, default=3, help="of every tool in every case")
    parser.add_argument("--phases", nargs="+", choices=("fresh", "held"), default=("fresh", "held"))
    parser.add_argument("--venv", type=Path, default=Path(".venv-fanout"), help="where ansible and pyinfra are")
    parser.add_argument("--servers", type=int, default=256, help="processes at most; more hosts share them")
    parser.add_argument("--held-max", type=int, default=1000, help="connections that pdctl alone holds; 0: none")
    parser.add_argument("--no-curve", action="store_true", help="leave out the rows with equal key exchange")
    parser.add_argument("--no-faults", action="store_true", help="leave out the hosts that freeze and die")
    return parser.parse_args()


def refuses_a_wrong_key(tool: Tool, setting: Setting) -> bool:
    """Swap the pinned keys of two hosts: a tool that checks them does not run there."""
    lines = setting.known_hosts.read_text().splitlines()
    names, keys = zip(*(line.split(" ", 1) for line in lines), strict=True)
    swapped = setting.directory / "known_hosts_wrong"
    swapped.write_text("".join(f"{a} {b}\n" for a, b in zip(names, (keys[1], keys[0], *keys[2:]), strict=True)))
    wrong = Setting(setting.fleet, setting.hosts, swapped)
    run = call(tool.fresh(wrong), setting)
    verified = run.answers == setting.hosts - 2
    if not verified:
        print(
            f"{tool.name}: ran on {run.answers} of {setting.hosts} hosts, two of them with a wrong host key\n{run.said}"
        )
    return verified


def compare(found: Sequence[Tool], setting: Setting, options: argparse.Namespace) -> bool:
    """Fresh and held rounds of every tool, interleaved, as tables."""
    fresh = [Series(tool.name) for tool in found]
    for turn in range(options.runs if "fresh" in options.phases else 0):
        for series, tool in turned(list(zip(fresh, found, strict=True)), turn):
            series.runs.append(call(tool.fresh(setting), setting))
    held = held_rounds(found, setting, options.runs, call) if "held" in options.phases else []
    for title, phase in ("fresh", fresh), ("held", held):
        if title in options.phases:
            print(
                table(
                    f"{title} connections, N={setting.hosts}, load average {os.getloadavg()[0]:.0f}",
                    phase,
                    setting.hosts,
                )
            )
    print(aims(fresh, held, setting.hosts), flush=True)
    return all(series.complete(setting.hosts) for series in [*fresh, *held])


def hold_many(fleet: Fleet, hosts: int) -> bool:
    """pdctl alone with as many connections as an operator may have nodes."""
    setting = Setting(fleet, hosts, fleet.known_hosts)
    held = held_rounds(tools(Path(os.devnull), curve=False)[0][:1], setting, 3, call)
    print(table(f"held connections, N={hosts}, {len(fleet.pids)} servers", held, hosts))
    return held[0].complete(hosts)


def tells_lost_hosts() -> bool:
    """In a process of its own: this one has to stay small, as a child's peak memory begins with its parent's."""
    sys.stdout.flush()
    return (
        subprocess.run([sys.executable, str(Path(__file__).with_name("fanout_faults.py"))], check=False).returncode == 0
    )


def call(invocation: Invocation, setting: Setting) -> Measured:
    return measure(invocation.argv, {**os.environ, **invocation.environment}, setting.directory, LIMIT_S)


def turned(items: Sequence[tuple[Series, Tool]], turn: int) -> Iterator[tuple[Series, Tool]]:
    """Each round begins with another tool, as the first of a round may find the machine as nobody else does."""
    start = turn % len(items)
    yield from items[start:]
    yield from items[:start]


if __name__ == "__main__":
    raise SystemExit(main())
