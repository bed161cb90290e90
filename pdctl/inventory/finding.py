"""What a cross-field rule is given and what it answers.

Rules run even when some values of the file could not be read, on what is left of it. `needs` keeps them from blaming
a consequence: a finding is dropped when anything that it rests on was in doubt.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pdctl.inventory.document import Loc
from pdctl.inventory.schema import InventorySpec
from pdctl.inventory.slots import PlacedSlot, slots_of

PLACEMENT: tuple[Loc, ...] = (
    ("nodes", "*", "gpus"),
    ("nodes", "*", "pool"),
    ("nodes", "*", "group"),
    ("nodes", "*", "slots"),
)
"""What the set of slots rests on; `*` stands for any name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake at `loc`. `needs`: the other places that it was concluded from."""

    loc: Loc
    message: str
    hint: str = ""
    needs: tuple[Loc, ...] = ()
    at_key: bool = False

    def rests_on(self, doubtful: Loc) -> bool:
        """Whether something that could not be read has a part in this finding."""
        return any(related(need, doubtful) for need in (self.loc, *self.needs))


@dataclass(frozen=True, slots=True)
class Context:
    """The inventory as far as it could be read. `pool_names`, `node_names`: all that are written, readable or not."""

    spec: InventorySpec
    pool_names: frozenset[str]
    node_names: frozenset[str]

    def slots(self) -> tuple[PlacedSlot, ...]:
        return slots_of(self.spec)


Rule: TypeAlias = Callable[[Context], Iterator[Finding]]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The known words nearest to `word`, or all of them where there are few, as a hint."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known: {', '.join(words)}" if 0 < len(words) <= 12 else ""


def related(need: Loc, doubtful: Loc) -> bool:
    """Whether one of the two contains the other; `*` in `need` stands for any name."""
    return all(left in ("*", right) for left, right in zip(need, doubtful, strict=False))
