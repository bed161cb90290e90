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

_BADNESS = {Verdict.PASS: 0, Verdict.UNKNOWN: 1, Verdict.FAIL: 2}


@dataclass(frozen=True, slots=True)
class Split:
    """How a pool's nodes differ in one thing. `values` by node, those that are known; `majority` None: a tie.

    `sure`: it stays the majority whatever the nodes have whose value is not known. Only then is agreeing with it a
    pass: to know less must never make a node look better.
    """

    values: Mapping[str, str]
    majority: str | None
    sure: bool


def split(values: Mapping[str, str], unknown: int = 0) -> Split:
    """The majority of `values` by node: more nodes have it than any other value. `unknown` nodes did not say."""
    ranked = Counter(values.values()).most_common(2)
    first = ranked[0][1] if ranked else 0
    second = ranked[1][1] if len(ranked) == 2 else 0
    majority = ranked[0][0] if first > second else None
    return Split(dict(values), majority, first > second + unknown)


def drift_check(trait: Trait) -> FleetCheck:
    """The check that compares `trait` over the nodes of every pool."""
    return FleetCheck(trait.id, trait.title, trait.severity, trait.reads, lambda fleet: _judge(trait, fleet))


def _judge(trait: Trait, fleet: Fleet) -> Iterator[Word]:
    read = {node: readings_of(trait.read, facts) for node, facts in fleet.nodes.items()}
    pinned = fleet.policy.pinned.get(trait.pin) if trait.pin else None
    worst: dict[tuple[str, str], Word] = {}  # a node with slots in two pools is named once, for the worse of them
    for members in (tuple(fleet.expected),) if trait.whole_fleet else pools(fleet):
        for key in sorted({key for node in members for key in read.get(node, ())}):
            readings = {node: read[node][key] for node in members if key in read.get(node, ())}
            if pinned:
                words = _pinned(trait, key, readings, pinned)
            else:
                words = _compared(trait, key, readings, unreached=len(members) - len(readings))
            for word in words:
                before = worst.get((word.node, key))
                if before is None or _BADNESS[word.verdict] > _BADNESS[before.verdict]:
                    worst[word.node, key] = word
    yield from worst.values()


def readings_of(read: Callable[[NodeFacts], Mapping[str, Reading[T]]], facts: NodeFacts) -> Mapping[str, Reading[T]]:
    """What `read` finds in one node's facts. Where it fails, that node alone is unknown."""
    try:
        return read(facts)
    except NotRead as missing:
        return {"": Unknown(str(missing))}
    except Exception as error:  # any defect of a trait, whatever it is
        return {"": Unknown(f"the check itself failed: {type(error).__name__}: {error}")}


def pools(fleet: Fleet) -> tuple[tuple[str, ...], ...]:
    """Names of the nodes of every pool, reached or not, spares last; a node may be in several."""
    found: dict[str, list[str]] = {}
    for node, expected in fleet.expected.items():
        for pool in {slot.pool or "" for slot in expected.slots}:
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


def _compared(trait: Trait, key: str, readings: Mapping[str, Reading[str]], *, unreached: int) -> Iterator[Word]:
    known = {node: reading for node, reading in readings.items() if isinstance(reading, Known)}
    for node, reading in readings.items():
        if isinstance(reading, Unknown):
            yield _unknown(key, node, reading, "as on the other nodes of its pool")
    if len(readings) + unreached < 2:
        return
    found = split({node: reading.value for node, reading in known.items()}, len(readings) + unreached - len(known))
    for node, reading in known.items():
        word = _word(trait, key, node, reading, found)
        if word is not None:
            yield word


def _word(trait: Trait, key: str, node: str, reading: Known[str], found: Split) -> Word | None:
    """The word on one node whose value is known; None where there is nothing to be said of it."""
    evidence = (Evidence(reading.source, reading.value),)
    if found.majority is None:
        why = "its pool's nodes differ and none is in the majority"
        return Word(Verdict.FAIL, reading.value, _tie(found), key, evidence=evidence, why=why, node=node)
    expected = f"{found.majority} ({_having(found, found.majority)})"
    if reading.value != found.majority:
        return Word(Verdict.FAIL, reading.value, expected, key, evidence=evidence, fix=trait.fix, node=node)
    if found.sure:
        return Word(Verdict.PASS, reading.value, expected, key, evidence=evidence, node=node)
    if trait.severity is not Severity.BLOCK:
        return None
    why = "too few of the other nodes' values are known to compare with"
    return Word(Verdict.UNKNOWN, reading.value, "as on the other nodes", key, evidence=evidence, why=why, node=node)


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
