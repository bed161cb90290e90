"""T0: could the node be asked at all, and was everything asked that was to be."""

from __future__ import annotations

from collections.abc import Iterator

from pdctl.health.check import Check, Fleet, FleetCheck, Tier, Word
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict

_SHOWN = 6  # of what is missing

OF_THE_GPU = ("amd-smi", "rocm-smi", "rocminfo")
"""Tools that hang with the GPU's driver; `gpu.tool_latency` speaks of them where the first of them hung, and blocks."""


def _reached(fleet: Fleet) -> Iterator[Word]:
    for node in fleet.nodes:
        yield Word(Verdict.PASS, "answered", "answers over SSH", node=node)
    for node, trouble in fleet.unreachable.items():
        yield Word(Verdict.UNKNOWN, "not reached", "answers over SSH", fix=trouble.hint, why=trouble.cause, node=node)


def _whole(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    envelope = facts.envelope
    missing = envelope.missing
    if not missing:
        yield Word(Verdict.PASS, f"{len(envelope.items)} commands, {len(envelope.files)} files", "everything")
        return
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    yield Word(
        Verdict.UNKNOWN,
        f"{len(missing)} left out",
        "everything",
        evidence=(Evidence("missing", "; ".join(missing[:_SHOWN]) + more),),
        why="the node was too slow, or sent too much: " + "; ".join(missing[:_SHOWN]) + more,
    )


def _hung(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    first = facts.envelope.items.get("amd-smi.list")
    driver_hangs = first is not None and first.timed_out
    hung: dict[str, list[str]] = {}
    for name, item in sorted(facts.envelope.items.items()):
        if item.timed_out and not (driver_hangs and name.partition(".")[0] in OF_THE_GPU):
            hung.setdefault(item.argv[0] if item.argv else name, []).append(name)
    for tool, names in hung.items():
        item = facts.envelope.items[names[0]]
        yield Word(
            Verdict.FAIL,
            f"no end after {item.seconds:.0f} s",
            "ends by itself",
            tool,
            evidence=tuple(Evidence(name, " ".join(facts.envelope.items[name].argv)) for name in names),
            fix="ps -eo pid,stat,wchan:32,args | grep ' D'   # what hangs in the kernel, and where; then `dmesg`",
            why="what it would have told is unknown: " + ", ".join(names),
        )
    if not hung:
        yield Word(Verdict.PASS, f"{len(facts.envelope.items)} commands ended", "end by themselves")


def _root(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    envelope = facts.envelope
    refused = {name: item.refused for name, item in envelope.items.items() if item.refused.startswith("sudo")}
    asked = envelope.items.get("sudo")
    if asked is not None and asked.status != 0 and envelope.user != "root":
        refused.setdefault("sudo", asked.stderr.strip() or asked.refused or f"sudo -n ended with {asked.status}")
    if not refused:
        yield Word(Verdict.PASS, "what needs root ran as root", "root where it is needed")
        return
    name, why = next(iter(sorted(refused.items())))
    yield Word(
        Verdict.FAIL,
        f"{len(refused)} commands without root",
        "root where it is needed",
        evidence=(Evidence(name, why),),
        fix="allow the login `sudo -n` for these tools, or connect as root",
        why=f"they ran as {envelope.user or 'the login'} and may have told less: {', '.join(sorted(refused))}",
    )


FLEET_CHECKS = (
    FleetCheck("reach.ssh", "the node can be asked", Severity.BLOCK, ("ssh",), _reached, essential=True, tier=Tier.T0),
)

CHECKS = (
    Check("reach.collected", "the collection is whole", Severity.WARN, ("missing",), _whole, tier=Tier.T0),
    Check("reach.hung", "no tool hangs", Severity.WARN, ("*",), _hung, tier=Tier.T0),
    Check("reach.root", "root for what needs it", Severity.INFO, ("sudo",), _root, tier=Tier.T0),
)
