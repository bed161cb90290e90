"""What the host does right now: its clock, ports in use, failed units, strays of earlier runs."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from pdctl.health.check import Check, Fleet, FleetCheck, Word, word_on
from pdctl.health.expectations import Expectations, PortWanted
from pdctl.health.facts import NodeFacts, NotRead
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.host_facts import ClockOffset
from pdctl.health.nic_scope import listed
from pdctl.health.parse.sockets import Listener
from pdctl.model.reading import Known, Reading, Unknown

FEWEST_FOR_A_MEDIAN = 3
SETTLED_S = 1800.0
"""Ours: a boot that is younger is worth a line."""


def _synchronized(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    clock = facts.host.clock
    yield word_on(
        clock if isinstance(clock, Unknown) else clock.value.synchronized,
        lambda yes: yes,
        expected="follows a time source",
        show=lambda yes: "synchronized" if yes else "not synchronized",
        fix="systemctl enable --now chrony; chronyc sources",
        why="times in logs and traces of several nodes cannot be put in order",
    )


def _clocks(fleet: Fleet) -> Iterator[Word]:
    """Nodes against each other: the middle of them is right, if they are three; else the controller's clock is."""
    offsets = {name: _offset(facts) for name, facts in fleet.nodes.items()}
    known = {name: offset.value for name, offset in offsets.items() if isinstance(offset, Known)}
    many = len(known) >= FEWEST_FOR_A_MEDIAN
    reference = median(offset.middle_s for offset in known.values()) if many else 0.0
    against = "the middle of the nodes" if many else "the controller's clock"
    limit = fleet.policy.thresholds.clock_warn_s
    for name, offset in offsets.items():
        promise = f"within {limit:g} s of {against}"
        if isinstance(offset, Unknown):
            yield Word(Verdict.UNKNOWN, "unknown", promise, why=offset.reason, node=name)
            continue
        low, high = offset.value.low_s - reference, offset.value.high_s - reference
        verdict = Verdict.PASS if max(abs(low), abs(high)) <= limit else Verdict.UNKNOWN
        if low > limit or high < -limit:
            verdict = Verdict.FAIL
        yield Word(
            verdict,
            f"{(low + high) / 2:+.2f} s ± {(high - low) / 2:.2f} s",
            promise,
            evidence=(Evidence(offset.source, str(offset.value)),),
            fix="chronyc makestep" if verdict is Verdict.FAIL else "",
            why={
                Verdict.FAIL: "times in logs and traces of several nodes cannot be put in order",
                Verdict.UNKNOWN: "asking took too long to tell",
            }.get(verdict, ""),
            node=name,
        )


def _offset(facts: NodeFacts) -> Reading[ClockOffset]:
    try:
        return facts.host.clock_offset
    except NotRead as missing:
        return Unknown(str(missing))


def _ports(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    if not expected.ports:
        return
    found = facts.host.listeners
    promise = f"{len(expected.ports)} ports of the plan are free"
    if isinstance(found, Unknown):
        yield Word(Verdict.UNKNOWN, "unknown", promise, evidence=(Evidence(found.source),), why=found.reason)
        return
    taken = {
        wanted: listener
        for wanted in expected.ports
        for listener in found.value
        if listener.holds(wanted.address, wanted.port)
    }
    for instance in sorted({wanted.instance for wanted in taken}):
        mine = {wanted: listener for wanted, listener in taken.items() if wanted.instance == instance}
        yield Word(
            Verdict.FAIL,
            listed(_shown(wanted, listener) for wanted, listener in mine.items()),
            f"the ports of {instance} are free",
            instance,
            evidence=tuple(Evidence(found.source, _shown(wanted, listener)) for wanted, listener in mine.items()),
            fix=f"ss -ltnp 'sport = :{next(iter(mine)).port}'; end what holds it",
            why="the engine would end when it binds them, after it has loaded its weights",
        )
    if not taken:
        yield Word(Verdict.PASS, "free", promise, evidence=(Evidence(found.source, f"{len(found.value)} listeners"),))


def _shown(wanted: PortWanted, listener: Listener) -> str:
    holders = ", ".join(f"{name} (pid {pid})" for name, pid in listener.processes) or "a process of another user"
    return f"{wanted.port} held by {holders}"


def _units(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    if isinstance(facts.host.failed_units, Known) or "not found" not in facts.host.failed_units.reason:
        yield word_on(
            facts.host.failed_units,
            lambda names: not names,
            expected="no failed unit",
            show=lambda names: listed(names) or "none",
            fix="systemctl status the unit; systemctl reset-failed when it is settled",
        )


def _uptime(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    yield word_on(
        facts.host.uptime_s,
        lambda seconds: seconds >= SETTLED_S,
        expected=f">= {SETTLED_S / 60:.0f} min since its boot",
        show=lambda seconds: f"up for {seconds / 3600:.1f} h",
        fix="last -x reboot shutdown | head; journalctl -b -1 -e",
        why="it booted a moment ago: if nobody did that, ask why",
        gpus=(),
    )


def _bench(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    yield word_on(
        facts.host.bench,
        lambda pids: not pids,
        expected="no benchmark client",
        show=lambda pids: f"pids {', '.join(map(str, pids))}" if pids else "none",
        fix="ps -fp the pid; end it if nobody waits for its result",
        why="it takes the CPU and the requests' slots of what is to be served",
    )


def _jit_locks(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    if "jit.locks" not in facts.envelope.items:
        return
    locks, compilers = facts.host.jit_locks, facts.host.compilers
    stale: Reading[tuple[str, ...]] = locks
    if isinstance(locks, Known) and locks.value:
        stale = (
            compilers if isinstance(compilers, Unknown) else Known(() if compilers.value else locks.value, locks.source)
        )
    yield word_on(
        stale,
        lambda paths: not paths,
        expected="no lock without a compiler",
        show=lambda paths: listed(map(str, paths), 3) or "none",
        fix="rm the lock files, after a look that no compiler runs",
        why="an engine waits for the lock for hours without a word (AITER's JIT)",
    )


CHECKS = (
    Check("host.clock", "the clock is kept", Severity.WARN, ("chronyc", "timedatectl"), _synchronized),
    Check("host.ports", "planned ports are free", Severity.BLOCK, ("ss",), _ports),
    Check("host.uptime", "no boot just now", Severity.INFO, ("/proc/uptime",), _uptime),
    Check("host.failed_units", "no failed unit", Severity.INFO, ("systemctl.failed",), _units),
    Check("host.stray_bench", "no stray benchmark", Severity.WARN, ("pgrep.bench",), _bench),
    Check("host.jit_locks", "no orphaned JIT lock", Severity.WARN, ("jit.locks", "pgrep.compiler"), _jit_locks),
)

FLEET_CHECKS = (FleetCheck("host.clock_offset", "clocks agree", Severity.WARN, ("wall_s",), _clocks),)
