"""What terms change against the plain match, row by row and in sum. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pdctl.bench.sizing.match import Matched, match
from pdctl.bench.sizing.points import Profile
from pdctl.bench.sizing.slo_match import Dropped, Headroom, Kept, Slo, Terms, slo_match


@dataclass(frozen=True, slots=True)
class Change:
    """One decode point under terms: left out, or with other GPUs or another rate than plainly matched."""

    plain: Matched
    now: Kept | Dropped

    @property
    def more_gpus(self) -> int:
        return self.now.matched.best_p_gpus - self.plain.best_p_gpus if isinstance(self.now, Kept) else 0

    @property
    def slower(self) -> bool:
        """Whether the decode instance takes fewer requests than it plainly would."""
        return isinstance(self.now, Kept) and self.now.matched.requests_per_s < self.plain.requests_per_s * (1 - 1e-9)

    @property
    def any(self) -> bool:
        return isinstance(self.now, Dropped) or bool(self.more_gpus) or self.slower


@dataclass(frozen=True, slots=True)
class Effect:
    """Terms in a few words, and what they do to all points: left out, with more GPUs, and the best row that stays."""

    words: str
    points: int
    dropped: int
    more: int
    best: Matched | None


WHAT_IF: Final = (
    ("10% headroom", Terms(headroom=Headroom(0.1))),
    ("20% headroom", Terms(headroom=Headroom(0.2))),
    ("TTFT <= 1 s", Terms(Slo(ttft_s=1.0))),
    ("TTFT <= 500 ms", Terms(Slo(ttft_s=0.5))),
    ("TPOT <= 20 ms", Terms(Slo(tpot_s=0.02))),
    ("TPOT <= 10 ms", Terms(Slo(tpot_s=0.01))),
)
"""What is told where no terms were asked for: that the plain match is not all, and what it leaves out."""


def changes(profile: Profile, rows: Sequence[Kept | Dropped]) -> tuple[Change, ...]:
    """Every point's change, in the profile's order."""
    return tuple(Change(plain, now) for plain, now in zip(match(profile), rows, strict=True))


def effects(profile: Profile) -> Iterator[Effect]:
    """Each of `WHAT_IF`."""
    for words, terms in WHAT_IF:
        found = changes(profile, slo_match(profile, terms))
        stay = [each.now.matched for each in found if isinstance(each.now, Kept)]
        yield Effect(
            words,
            len(found),
            sum(1 for each in found if isinstance(each.now, Dropped)),
            sum(1 for each in found if each.more_gpus > 0),
            max(stay, key=lambda row: row.tpsg, default=None),
        )
