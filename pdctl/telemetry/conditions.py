"""What a rule finds in one snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from pdctl.model.snapshot import AlertLevel


@dataclass(frozen=True, slots=True)
class Condition:
    """What holds in one snapshot. `id` names it for as long as it lasts."""

    id: str
    level: AlertLevel
    subject: str
    cause: str
    hint: str
    waits: bool = False  # a page that may pass: it is raised only where it lasts
