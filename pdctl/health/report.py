"""What judging came to: findings in the order in which to act, a verdict for every slot, an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pdctl.health.finding import Finding, Severity, Verdict
from pdctl.model.observed import Trouble


class Fitness(StrEnum):
    """Whether a slot may serve. UNKNOWN: nothing failed, but something essential could not be found out."""

    FIT = "fit"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SlotVerdict:
    """One slot: may it serve. `blockers` are the findings that say no, worst first; `trouble` if nobody could ask."""

    slot: str
    node: str
    fitness: Fitness
    blockers: tuple[Finding, ...] = ()
    trouble: Trouble | None = None

    @property
    def may_serve(self) -> bool:
        return self.fitness is Fitness.FIT


@dataclass(frozen=True, slots=True)
class Report:
    """The whole. `findings` are sorted: what blocks, what warns, what is unknown, what drifts, what passed.

    `unreachable` nodes have no findings; their slots are UNKNOWN and may not serve.
    """

    findings: tuple[Finding, ...]
    slots: tuple[SlotVerdict, ...]
    nodes: tuple[str, ...]
    unreachable: Mapping[str, Trouble] = field(default_factory=dict)

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """The findings that keep a slot from serving."""
        return tuple(finding for finding in self.findings if finding.blocks)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Everything that did not pass."""
        return tuple(finding for finding in self.findings if finding.verdict is not Verdict.PASS)

    @property
    def exit_code(self) -> int:
        """1: something blocks; 4: nothing does but that a node could not be reached; else 0."""
        if any(finding.subject.node not in self.unreachable for finding in self.blocking):
            return 1
        return 4 if self.unreachable else 0

    def slot(self, slot_id: str) -> SlotVerdict | None:
        """The verdict on that slot; None: it was not judged."""
        return next((slot for slot in self.slots if slot.slot == slot_id), None)

    def of_node(self, node: str) -> tuple[Finding, ...]:
        """Every finding on that node, in order."""
        return tuple(finding for finding in self.findings if finding.subject.node == node)


_SEVERITIES = (Severity.BLOCK, Severity.WARN, Severity.INFO)


def urgency(finding: Finding) -> int:
    """0 blocks by failing, 1 blocks by being unknown, 2 warns, 3 unknown, 4 informs, 5 informs by unknown, 6 passed."""
    failed = finding.verdict is Verdict.FAIL
    if finding.blocks:
        return 0 if failed else 1
    if finding.verdict is Verdict.PASS:
        return 6
    if finding.severity is Severity.INFO:
        return 4 if failed else 5
    return 2 if failed else 3


def by_urgency(finding: Finding) -> tuple[int, int, str, str, str, str]:
    """The key of the order in which to act; stable over runs."""
    subject = finding.subject
    rank = _SEVERITIES.index(finding.severity)
    return urgency(finding), rank, finding.check, subject.node, subject.slot, _natural(subject.device)


def _natural(device: str) -> str:
    """`gpu10` after `gpu9`."""
    head = device.rstrip("0123456789")
    tail = device[len(head) :]
    return head + tail.zfill(6) if tail else head
