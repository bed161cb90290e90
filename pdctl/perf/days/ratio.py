"""How many instances read prompts and how many write: `2P3D`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pdctl.model.role import Role


@dataclass(frozen=True, slots=True, order=True)
class Ratio:
    """Counts of instances by role. Ordered by prefill first."""

    prefill: int
    decode: int

    @classmethod
    def parse(cls, words: str) -> Ratio:
        """`2P3D`. Raises ValueError for anything else."""
        found = re.fullmatch(r"(\d+)[pP](\d+)[dD]", words.strip())
        if found is None:
            raise ValueError(f"a split is written as 2P3D, not {words!r}")
        return cls(int(found[1]), int(found[2]))

    @property
    def total(self) -> int:
        return self.prefill + self.decode

    def moved(self, donor: Role) -> Ratio:
        """With one instance of `donor` turned into the other role."""
        step = -1 if donor is Role.PREFILL else 1
        return Ratio(self.prefill + step, self.decode - step)

    def without(self, donor: Role) -> Ratio:
        """With one instance of `donor` away: while it drains and restarts."""
        return Ratio(self.prefill - (donor is Role.PREFILL), self.decode - (donor is Role.DECODE))

    def __str__(self) -> str:
        return f"{self.prefill}P{self.decode}D"


def ratios(total: int, *, prefill_floor: int = 1, decode_floor: int = 1) -> tuple[Ratio, ...]:
    """Every ratio of `total` instances above the floors, fewest prefill first."""
    return tuple(Ratio(prefill, total - prefill) for prefill in range(prefill_floor, total - decode_floor + 1))
