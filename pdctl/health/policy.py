"""What the operator may decide about checks: which unknown blocks, severities, pinned versions, thresholds.

Defaults. An unknown warns, except where the check is `essential` (it rests on files that every user of a healthy node
can read, like the number of GPUs or a port's state), where it blocks: not being able to read those means that the
driver is not there or hangs. Everything else may be unknown for lack of a tool or of root, and a gate that blocks on
that would only teach people `--skip-checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from pdctl.health.finding import Severity
from pdctl.health.thresholds import Thresholds


class UnknownIs(StrEnum):
    """What an unknown counts as: it blocks, it is shown and lets pass, or it is not even shown."""

    BLOCK = "block"
    WARN = "warn"
    IGNORE = "ignore"


class SeverityIs(StrEnum):
    """A severity as the inventory can override it; `off` leaves the check out."""

    BLOCK = "block"
    WARN = "warn"
    INFO = "info"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's decisions. `unknown` and `severity` are keyed by check ids or globs ("gpu.*"); the longest
    pattern that matches wins, an exact id before any glob. `pinned` by a trait's pin ("rocm", "kernel", "gpu.driver").
    """

    unknown: Mapping[str, UnknownIs] = field(default_factory=dict)
    severity: Mapping[str, SeverityIs] = field(default_factory=dict)
    pinned: Mapping[str, str] = field(default_factory=dict)
    thresholds: Thresholds = field(default_factory=Thresholds)

    def unknown_is(self, check: str, *, essential: bool) -> UnknownIs:
        """What an unknown of this check counts as."""
        pattern = _best(self.unknown, check)
        if pattern is None:
            return UnknownIs.BLOCK if essential else UnknownIs.WARN
        return self.unknown[pattern]

    def severity_of(self, check: str, own: Severity) -> Severity | None:
        """The check's severity after overrides; None: it is switched off."""
        pattern = _best(self.severity, check)
        if pattern is None:
            return own
        said = self.severity[pattern]
        return None if said is SeverityIs.OFF else Severity(said.value)

    def overrides_severity(self, check: str) -> bool:
        """Whether the inventory speaks of this check's severity."""
        return _best(self.severity, check) is not None


def _best(patterns: Mapping[str, object], check: str) -> str | None:
    """The pattern that decides for `check`."""
    if check in patterns:
        return check
    matching = [pattern for pattern in patterns if fnmatchcase(check, pattern)]
    return max(matching, key=lambda pattern: (len(pattern), pattern), default=None)
