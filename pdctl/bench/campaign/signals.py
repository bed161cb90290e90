"""What the operator's signals interrupt: the measurement, or the `down` that follows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pdctl.control.execute import Interrupt


@dataclass(slots=True)
class Signals:
    """An interrupt of the measurement leads to a `down`; that one is interrupted by signals of its own."""

    now: Interrupt = field(default_factory=Interrupt)

    def ask(self, reason: str = "interrupted") -> None:
        """A signal came."""
        self.now.ask(reason)
