"""A plan as its operator is asked to agree to it: steps, expected times, the dip in capacity, and the exact command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pdctl.plan.steps import Plan


@dataclass(frozen=True, slots=True)
class Dip:
    """What a plan does to one pool: its serving instances before, at the worst moment, and after, and its floor."""

    pool: str
    before: int
    least: int
    after: int
    floor: int


@dataclass(frozen=True, slots=True)
class Expected:
    """How long a step should take, in seconds; `high_s` None: nobody can say (a drain ends when its requests do)."""

    low_s: float
    high_s: float | None
    basis: str  # "settings", "measured on this cluster", ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would be done now. `expected` by step id. `command` is the argv of the CLI twin.

    `no_return` names the step after which a move can no longer be taken back ("" where there is none, as in a drain).
    `effect` is what it should do to latencies, in words; "" where nobody can say.
    """

    plan: Plan
    command: tuple[str, ...]
    dips: tuple[Dip, ...] = ()
    expected: Mapping[str, Expected] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    no_return: frozenset[str] = frozenset()
    effect: str = ""
