"""What a check is: an id, what it reads, how bad a failure is, and a pure function from facts to words.

A check is a constant at the end of the file that holds its function; every file of `checks` exports one tuple of each
kind that it has, and `registry` lists the files. A check's function yields `Word`s; `judge` makes findings of them.

    def _judge(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
        for gpu in facts.gpu.gpus:
            yield word_on(gpu.uncorrectable, lambda n: n == 0, expected="0 errors", device=gpu.name, gpus=(gpu.index,))

    ECC = Check("gpu.ecc_uncorrectable", "uncorrectable memory errors", Severity.BLOCK, ("device/ras/*",), _judge)
    CHECKS = (ECC, ...)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, TypeVar

from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.model.check_policy import CheckPolicy
from pdctl.model.observed import Trouble
from pdctl.model.reading import Reading, Unknown

T = TypeVar("T")


class Tier(StrEnum):
    """When a check can be judged: T0 reach, T1 static and idle, T2 fabric, T3 performance floors (opt-in)."""

    T0 = "T0"
    T1 = "T1"
    T2 = "T2"
    T3 = "T3"


@dataclass(frozen=True, slots=True)
class Word:
    """One check's word, before it has the check's name.

    `node` "" is the node under judgement (a fleet check has to name it). `gpus` are the indices whose slots a failure
    keeps from serving; None: every slot of the node; (): none of them. `severity` None is the check's own; a check that
    knows degrees (temperature) sets it. `why` says what a failure means, and for UNKNOWN why it is not known.
    """

    verdict: Verdict
    observed: str
    expected: str = ""
    device: str = ""
    gpus: tuple[int, ...] | None = None
    evidence: tuple[Evidence, ...] = ()
    fix: str = ""
    why: str = ""
    severity: Severity | None = None
    node: str = ""


Judge: TypeAlias = Callable[[NodeFacts, Expectations], Iterable[Word]]


@dataclass(frozen=True, slots=True)
class Check:
    """A check of one node. It yields one word per subject: a pass is a word too, silence means that it does not apply.

    `reads` are the item ids, paths or globs of the envelope that it rests on. `essential`: on a healthy node it can be
    read by any user (sysfs), so not knowing it is a reason to block by default.
    """

    id: str
    title: str
    severity: Severity
    reads: tuple[str, ...]
    judge: Judge
    essential: bool = False
    tier: Tier = Tier.T1


@dataclass(frozen=True, slots=True)
class Fleet:
    """All nodes judged together. A node is in `nodes` or in `unreachable`; `expected` holds both kinds."""

    nodes: Mapping[str, NodeFacts]
    expected: Mapping[str, Expectations]
    policy: CheckPolicy = field(default_factory=CheckPolicy)
    unreachable: Mapping[str, Trouble] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FleetCheck:
    """A check that compares nodes. Its words name their node."""

    id: str
    title: str
    severity: Severity
    reads: tuple[str, ...]
    judge: Callable[[Fleet], Iterable[Word]]
    essential: bool = False
    tier: Tier = Tier.T1


@dataclass(frozen=True, slots=True)
class Trait:
    """What should be the same on all nodes of a pool (drift). `read` gives one value per key, "" being the node itself:
    `{"": Known("6.8.0", …)}`, or by rail `{"rail0": …}`; the same key is compared over nodes.

    Where a node's own devices differ, the value is all of them, sorted and joined. `pin` is the name under which the
    inventory can demand a value (`checks.pinned`), "" for none.
    """

    id: str  # of the check: "drift.kernel"
    title: str
    severity: Severity
    reads: tuple[str, ...]
    read: Callable[[NodeFacts], Mapping[str, Reading[str]]]
    pin: str = ""
    fix: str = ""
    whole_fleet: bool = False  # all nodes must agree, whatever their pool: what both ends of a transfer share


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that should be about the same on all nodes of a pool, more being better (outliers)."""

    id: str  # "outlier.hbm_copy"
    title: str
    unit: str
    severity: Severity
    reads: tuple[str, ...]
    read: Callable[[NodeFacts], Mapping[str, Reading[float]]]  # by device


def word_on(
    reading: Reading[T],
    good: Callable[[T], bool],
    *,
    expected: str,
    show: Callable[[T], str] = str,
    device: str = "",
    gpus: tuple[int, ...] | None = None,
    fix: str = "",
    why: str = "",
    severity: Severity | None = None,
) -> Word:
    """The word on one reading: UNKNOWN where it is unknown, else what `good` says of its value.

    `expected` and `observed` should carry units; the reading's source becomes the evidence.
    """
    if isinstance(reading, Unknown):
        evidence = (Evidence(reading.source),) if reading.source else ()
        return Word(Verdict.UNKNOWN, "unknown", expected, device, gpus, evidence, fix="", why=reading.reason)
    shown = show(reading.value)
    passed = good(reading.value)
    return Word(
        Verdict.PASS if passed else Verdict.FAIL,
        shown,
        expected,
        device,
        gpus,
        (Evidence(reading.source, shown),),
        fix="" if passed else fix,
        why="" if passed else why,
        severity=severity,
    )
