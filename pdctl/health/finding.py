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
    """One check's word on one subject. `observed` and `expected` carry their units; `fix` can be copied to a shell."""

    check: str  # "gpu.ecc_uncorrectable"
    verdict: Verdict
    severity: Severity
    subject: Subject
    observed: str
    expected: str
    evidence: tuple[Evidence, ...] = ()
    fix: str = ""
    why: str = ""  # why it matters, or for UNKNOWN why it is not known

    @property
    def blocks(self) -> bool:
        """Whether it failed at the level that keeps a slot from serving (an unknown is for the policy to decide)."""
        return self.verdict is Verdict.FAIL and self.severity is Severity.BLOCK
