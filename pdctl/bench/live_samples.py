"""Snapshots of a serving cluster -> samples that the performance model can be fitted to."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence

from pdctl.model.figure import Fig, Figure
from pdctl.model.role import Role
from pdctl.model.snapshot import WINDOWS_S, InstanceFigures, Snapshot, Vital
from pdctl.perf.live_fit import BUSIEST, LiveSample

WINDOW_S = WINDOWS_S[0]


def live_samples(snapshots: Iterable[Snapshot], instances: Iterable[str] | None = None) -> tuple[LiveSample, ...]:
    """One sample per instance and window that does not overlap the one before; of `instances` only, where given.

    Windows are left out in which an instance was not up, was heard of too late, or had no place for all that waited:
    then the means say more of queues than of steps.
    """
    wanted = None if instances is None else frozenset(instances)
    return tuple(
        sample
        for window in _windows(snapshots)
        for name in window[-1].instances
        if (wanted is None or name in wanted) and (sample := _sample(name, window)) is not None
    )


def _windows(snapshots: Iterable[Snapshot]) -> Iterator[list[Snapshot]]:
    """The ticks of each window, whole ones only."""
    ticks: list[Snapshot] = []
    for snapshot in snapshots:
        if ticks and snapshot.taken_s < ticks[-1].taken_s:
            ticks = []
        ticks.append(snapshot)
        if snapshot.taken_s - ticks[0].taken_s >= WINDOW_S:
            yield ticks
            ticks = []


def _sample(name: str, ticks: Sequence[Snapshot]) -> LiveSample | None:
    seen = [tick.instances[name] for tick in ticks if name in tick.instances]
    last = seen[-1]
    window = last.windows.get(WINDOW_S)
    if window is None or any(one.vital is not Vital.UP for one in seen):
        return None
    running = [value for one in seen if (value := _fullest(one)) is not None]
    prompts, tokens_in = _value(window.flow.requests), _value(window.flow.tokens_in)
    tokens_out, steps = _value(window.flow.tokens_out), _value(window.flow.steps)
    if not running or not prompts or not tokens_in or not steps or _waits(seen):
        return None
    prefill = window.latencies.prefill if last.role is not Role.DECODE else None
    prefill_s = _value(prefill.mean) if prefill else None
    if prefill_s is not None and prompts * prefill_s > BUSIEST:
        return None
    isl, ranks = tokens_in / prompts, max(1, len(last.ranks))
    return LiveSample(
        instance=name,
        role=last.role,
        running=statistics.fmean(running),
        prompts_per_s=prompts,
        isl=isl,
        context=isl + (tokens_out or 0.0) / prompts / 2,
        prompt_tokens_a_step=max(isl, tokens_in / steps / ranks) if last.role is Role.PREFILL else isl,
        requests=prompts * WINDOW_S,
        itl_s=_value(window.latencies.itl.mean) if last.role is not Role.PREFILL else None,
        prefill_s=prefill_s,
    )


def _fullest(one: InstanceFigures) -> float | None:
    """Sequences running on the rank that has most."""
    ranks = [value for load in one.ranks.values() if (value := _value(load.running)) is not None]
    return max(ranks) if ranks else _value(one.load.running)


def _waits(seen: Sequence[InstanceFigures]) -> bool:
    """Whether requests queued in most of the ticks."""
    waiting = [_value(one.load.waiting) or 0.0 for one in seen]
    return statistics.median(waiting) > 0


def _value(figure: Fig) -> float | None:
    return figure.middle if isinstance(figure, Figure) else None
