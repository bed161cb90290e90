"""What should be the same on all nodes of a pool: whoever differs from the majority is named.

Nodes are compared within each pool, since a prefill pool may rightly be other hardware than a decode pool. A tie names
everybody and blames nobody. A value that the inventory pins is compared with that instead. Two nodes that differ are
a tie; a single one has nobody to differ from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pdctl.health.check import Fleet, FleetCheck, Trait, Word
from pdctl.health.facts import NodeFacts, NotRead
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.model.reading import Known, Reading, Unknown

T = TypeVar("T")

MAX_NAMED = 8  # nodes that one line names


@dataclass(frozen=True, slots=True)
class Split:
    """How a pool's nodes differ in one thing. `majority` None: a tie. Values by node, those that are known."""

    values: Mapping[str, str]
    majority: str | None

    @property
    def odd(self) -> tuple[str, ...]:
        """Nodes that do not have the majority's value, in order; () in a tie."""
        return tuple(node for node, value in self.values.items() if self.majority not in (None, value))


def split(values: Mapping[str, str]) -> Split:
    """The majority of `values` by node: more nodes have it than any other value."""
    ranked = Counter(values.values()).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return Split(dict(values), None)
    return Split(dict(values), ranked[0][0])


def drift_check(trait: Trait) -> FleetCheck:
    """The check that compares `trait` over the nodes of every pool."""
    return FleetCheck(trait.id, trait.title, trait.severity, trait.reads, lambda fleet: _judge(trait, fleet))


def _judge(trait: Trait, fleet: Fleet) -> Iterator[Word]:
    read = {node: readings_of(trait.read, facts) for node, facts in fleet.nodes.items()}
    said: set[tuple[str, str]] = set()
    pinned = fleet.policy.pinned.get(trait.pin) if trait.pin else None
    for members in (tuple(fleet.nodes),) if trait.whole_fleet else pools(fleet):
        for key in sorted({key for node in members for key in read[node]}):
            readings = {node: read[node][key] for node in members if key in read[node]}
            words = _pinned(trait, key, readings, pinned) if pinned else _compared(trait, key, readings)
            for word in words:
                if (word.node, key) not in said:  # a node with slots in two pools is named once
                    said.add((word.node, key))
                    yield word


def readings_of(read: Callable[[NodeFacts], Mapping[str, Reading[T]]], facts: NodeFacts) -> Mapping[str, Reading[T]]:
    """What `read` finds in one node's facts. Where it fails, that node alone is unknown."""
    try:
        return read(facts)
    except NotRead as missing:
        return {"": Unknown(str(missing))}
    except Exception as error:  # any defect of a trait, whatever it is
        return {"": Unknown(f"the check itself failed: {type(error).__name__}: {error}")}


def pools(fleet: Fleet) -> tuple[tuple[str, ...], ...]:
    """Names of the reached nodes of every pool, spares last; a node may be in several."""
    found: dict[str, list[str]] = {}
    for node in fleet.nodes:
        for pool in sorted({slot.pool or "" for slot in fleet.expected[node].slots}, key=lambda name: (not name, name)):
            found.setdefault(pool, []).append(node)
    return tuple(tuple(members) for _, members in sorted(found.items(), key=lambda item: (not item[0], item[0])))


def _pinned(trait: Trait, key: str, readings: Mapping[str, Reading[str]], pinned: str) -> Iterator[Word]:
    for node, reading in readings.items():
        expected = f"{pinned} (pinned in the inventory)"
        if isinstance(reading, Unknown):
            yield _unknown(key, node, reading, expected)
            continue
        good = reading.value == pinned
        yield Word(
            Verdict.PASS if good else Verdict.FAIL,
            reading.value,
            expected,
            device=key,
            evidence=(Evidence(reading.source, reading.value),),
            fix="" if good else trait.fix,
            severity=None if trait.severity is not Severity.INFO else Severity.WARN,
            node=node,
        )


def _compared(trait: Trait, key: str, readings: Mapping[str, Reading[str]]) -> Iterator[Word]:
    known = {node: reading for node, reading in readings.items() if isinstance(reading, Known)}
    for node, reading in readings.items():
        if isinstance(reading, Unknown):
            yield _unknown(key, node, reading, "as on the other nodes of its pool")
    found = split({node: reading.value for node, reading in known.items()})
    for node, reading in known.items():
        if len(known) < 2:
            continue
        tied = found.majority is None
        odd = tied or node in found.odd
        yield Word(
            Verdict.FAIL if odd else Verdict.PASS,
            reading.value,
            _tie(found) if tied else f"{found.majority} ({_having(found, str(found.majority))})",
            device=key,
            evidence=(Evidence(reading.source, reading.value),),
            fix=trait.fix if odd and not tied else "",
            why="its pool's nodes differ and none is in the majority" if tied else "",
            node=node,
        )


def _unknown(key: str, node: str, reading: Unknown, expected: str) -> Word:
    evidence = (Evidence(reading.source),) if reading.source else ()
    return Word(Verdict.UNKNOWN, "unknown", expected, key, evidence=evidence, why=reading.reason, node=node)


def _having(found: Split, value: str) -> str:
    count = sum(1 for each in found.values.values() if each == value)
    return f"{count} of {len(found.values)} nodes"


def _tie(found: Split) -> str:
    by_value: dict[str, list[str]] = {}
    for node, value in found.values.items():
        by_value.setdefault(value, []).append(node)
    parts = []
    for value, nodes in sorted(by_value.items()):
        more = f" and {len(nodes) - MAX_NAMED} more" if len(nodes) > MAX_NAMED else ""
        parts.append(f"{value}: {', '.join(nodes[:MAX_NAMED])}{more}")
    return "one value; seen " + "; ".join(parts)
