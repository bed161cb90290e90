"""What a telemetry would show of a virtual fleet at a tick: counts since the last one, and what is in hand."""

from __future__ import annotations

from dataclasses import dataclass

from pdctl.model.role import Role
from pdctl.perf.days.ratio import Ratio


@dataclass(frozen=True, slots=True)
class Turned:
    """One instance's change of role. `drained_s` and `up_s` are None until they come."""

    station: int
    donor: Role
    began_s: float
    drained_s: float | None = None
    up_s: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """Counts and token sums of the last `over_s` seconds. `reading`, `writing`: requests in hand of the serving
    prefill and decode instances. `moving`: whose instance is on its way to the other role."""

    at_s: float
    over_s: float
    ratio: Ratio
    moving: Role | None
    offered: int
    offered_tokens: int
    finished: int
    finished_tokens: int
    in_ttft: int
    in_itl: int
    reading: int
    writing: int


@dataclass(slots=True)
class Tally:
    """Counts until they are taken."""

    offered: int = 0
    offered_tokens: int = 0
    finished: int = 0
    finished_tokens: int = 0
    in_ttft: int = 0
    in_itl: int = 0

    def offer(self, isl: int) -> None:
        self.offered += 1
        self.offered_tokens += isl

    def finish(self, osl: int, in_ttft: bool, in_itl: bool) -> None:
        self.finished += 1
        self.finished_tokens += osl
        self.in_ttft += in_ttft
        self.in_itl += in_itl

    def seen(
        self, *, at_s: float, over_s: float, ratio: Ratio, moving: Role | None, reading: int, writing: int
    ) -> Seen:
        """What was counted, and begin anew."""
        seen = Seen(
            at_s,
            over_s,
            ratio,
            moving,
            self.offered,
            self.offered_tokens,
            self.finished,
            self.finished_tokens,
            self.in_ttft,
            self.in_itl,
            reading,
            writing,
        )
        self.offered = self.offered_tokens = self.finished = self.finished_tokens = self.in_ttft = self.in_itl = 0
        return seen
