"""In which order engines that serve are replaced: what adds capacity first, then wave after wave, never below a floor.

A wave takes out at most `at_once` engines of a pool, and no more than the pool has above its floor; the next one begins
when every engine of it is registered again, so that a wave that fails is the last one. What leaves for good goes last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pdctl.plan.steps import Action, Step, step_id

FAILURE_BUDGET = 0.3
"""The share of a pool that may be out of reach, or may fail to start, before nothing more of it is replaced."""


@dataclass(frozen=True, slots=True)
class PoolCapacity:
    """One pool before the plan: instances that serve, that the inventory wants, and that it must never lack."""

    serving: int
    size: int
    floor: int


@dataclass(frozen=True, slots=True)
class Turnover:
    """What a plan does to those who serve. Values are pools.

    `losing`: instances that serve and are taken out to be launched again, with the pool that they serve in.
    `gaining`: instances that the plan brings into service and that serve nowhere now.
    `leaving`: units that are drained and stopped for good. `bound`: sets of names that must stop together, because one
    gets another's GPUs.
    """

    losing: Mapping[str, str]
    gaining: Mapping[str, str]
    leaving: Mapping[str, str]
    bound: tuple[frozenset[str], ...] = ()


def in_waves(
    steps: Sequence[Step], turnover: Turnover, pools: Mapping[str, PoolCapacity], at_once: int = 1
) -> list[Step]:
    """The same steps, with what each fence has to wait for."""
    return _Waves(turnover, pools, at_once).apply(steps)


def bound_sets(holders: Mapping[str, Iterable[str]]) -> tuple[frozenset[str], ...]:
    """Sets of names of which one waits for another's GPUs, directly or through others. `holders` as `occupied.holders`
    tells them."""
    sets: list[frozenset[str]] = []
    for name, others in holders.items():
        joined = frozenset({name, *others})
        if len(joined) == 1:
            continue
        apart = [found for found in sets if not found & joined]
        sets = [*apart, joined.union(*(found for found in sets if found & joined))]
    return tuple(sets)


@dataclass(slots=True)
class _Open:
    """The waves of one pool while they are laid: who is in the last one, and what it waits for."""

    room: int
    waits_for: tuple[str, ...]
    names: list[str] = field(default_factory=list)


class _Waves:
    def __init__(self, turnover: Turnover, pools: Mapping[str, PoolCapacity], at_once: int) -> None:
        self.turnover = turnover
        self.bound = {name: found for found in turnover.bound for name in found}
        held = {name for found in turnover.bound if found & turnover.losing.keys() for name in found}
        self.fresh = {name: pool for name, pool in turnover.gaining.items() if name not in held}
        self.needs: dict[str, tuple[str, ...]] = {}
        self.after: dict[str, tuple[str, ...]] = {}
        self.open = {pool: self._begin(pool, capacity, at_once) for pool, capacity in pools.items()}

    def _begin(self, pool: str, capacity: PoolCapacity, at_once: int) -> _Open:
        """How many may be out at once, and what must have come first; one, where there is no way above the floor."""
        fresh = tuple(step_id(Action.REGISTER, name) for name, joins in self.fresh.items() if joins == pool)
        spare = capacity.serving - capacity.floor
        must_come = spare < 1 or len(fresh) >= FAILURE_BUDGET * max(capacity.size, 1)
        room = spare + len(fresh) if must_come else spare
        for name, leaves in self.turnover.losing.items():
            if leaves == pool and not must_come:
                self.after[name] = fresh
        return _Open(max(1, min(at_once, room)), fresh if must_come else ())

    def apply(self, steps: Sequence[Step]) -> list[Step]:
        done: set[str] = set()
        for name in self.turnover.losing:
            if name not in done:
                together = [each for each in self.turnover.losing if each in self.bound.get(name, {name})]
                self._place(together)
                done.update(together)
        for name, pool in self.turnover.leaving.items():
            if name not in self.bound:
                self.after[name] = tuple(
                    step_id(Action.REGISTER, other)
                    for joined in (self.turnover.losing, self.turnover.gaining)
                    for other, of in joined.items()
                    if of == pool
                )
        return [self._waiting(step, {each.id for each in steps}) for step in steps]

    def _place(self, together: Sequence[str]) -> None:
        """Put those who go together into the last wave of each of their pools, or into a new one."""
        losses: dict[str, list[str]] = {}
        for name in together:
            losses.setdefault(self.turnover.losing[name], []).append(name)
        waits: tuple[str, ...] = ()
        for pool, names in losses.items():
            wave = self.open[pool]
            if wave.names and len(wave.names) + len(names) > wave.room:
                before = tuple(step_id(Action.REGISTER, name) for name in wave.names)
                wave = self.open[pool] = _Open(wave.room, before)
            wave.names += names
            waits = (*waits, *wave.waits_for)
        for name in together:
            self.needs[name] = waits

    def _waiting(self, step: Step, known: set[str]) -> Step:
        if step.action is not Action.FENCE:
            return step
        needs = tuple(name for name in self.needs.get(step.subject, ()) if name in known)
        after = tuple(name for name in self.after.get(step.subject, ()) if name in known)
        return replace(step, needs=(*step.needs, *needs), after=(*step.after, *after))
