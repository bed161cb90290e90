"""What a check says: pass, fail or unknown, about one subject, with the evidence and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """UNKNOWN is a state of its own: never treated as good or as bad; the inventory's policy says which one blocks."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """What a failure means: BLOCK keeps a slot from serving, WARN is for the operator to plan, INFO is drift."""

    BLOCK = "block"
    WARN = "warn"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a finding is about: a node, or a slot of it, or one device ("gpu3", "mlx5_2", "/dev/shm"). "": unset."""

    node: str
    slot: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the observation comes from: an item id or a path of the envelope, and the few lines that show it."""

    source: str
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's word on one subject. `observed` and `expected` carry their units; `fix` can be copied to a shell.

    `slots`: ids of the slots that it keeps from serving if it blocks; those of the whole node where the check named no
    GPU, none where it is about nothing that is to serve. `unknown_blocks` is the policy's word for this check.
    """

    check: str  # "gpu.ecc_uncorrectable"
    verdict: Verdict
    severity: Severity
    subject: Subject
    observed: str
    expected: str
    evidence: tuple[Evidence, ...] = ()
    fix: str = ""
    why: str = ""  # why it matters, or for UNKNOWN why it is not known
    title: str = ""
    slots: tuple[str, ...] = ()
    unknown_blocks: bool = False

    @property
    def blocks(self) -> bool:
        """Whether it keeps its slots from serving: it failed at that level, or is unknown where that must be known."""
        if self.verdict is Verdict.FAIL:
            return self.severity is Severity.BLOCK and bool(self.slots)
        return self.verdict is Verdict.UNKNOWN and self.unknown_blocks and bool(self.slots)
