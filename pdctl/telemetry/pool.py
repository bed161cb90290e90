"""A pool's figures: loads and rates added, events put together, and who could not be counted named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pdctl.model.figure import Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.model.snapshot import WINDOWS_S, InstanceFigures, KvTransfer, Load, PoolFigures, Window
from pdctl.telemetry.dated import Dated
from pdctl.telemetry.figures import window
from pdctl.telemetry.instance import instance_kv, unknown_kv, unknown_window
from pdctl.telemetry.kv_bytes import KvShape


def pool_figures(
    name: str,
    members: Sequence[InstanceFigures],
    merged: Mapping[int, Dated],
    kv: KvShape | Unknown,
    nics: Mapping[int, Fig],
) -> PoolFigures:
    """Over the instances of one pool, at least one; `merged`: the tallies of those that are fresh, by window; `nics`:
    what the ports of its nodes received."""
    role = members[0].role
    fresh = [instance for instance in members if not isinstance(instance.load.running, Unknown)]
    left_out = tuple(instance.name for instance in members if isinstance(instance.load.running, Unknown))
    nobody = Unknown("the first scrape is not two scrapes: no rate yet" if fresh else "no instance of the pool answers")
    known = [instance.member for instance in members if instance.member is not None]
    return PoolFigures(
        name=name,
        role=role,
        instances=len(members),
        members=sum(known) if len(known) == len(members) else None,
        counted=len(fresh),
        left_out=left_out,
        load=_load([instance.load for instance in fresh], nobody),
        windows={window_s: _window(merged.get(window_s), nobody) for window_s in WINDOWS_S},
        kv={window_s: _moved(merged.get(window_s), role, kv, nics[window_s], nobody) for window_s in WINDOWS_S},
    )


def _window(dated: Dated | None, nobody: Unknown) -> Window:
    return unknown_window(nobody) if dated is None else window(dated.tally, dated.age_s)


def _moved(dated: Dated | None, role: Role, kv: KvShape | Unknown, nic: Fig, nobody: Unknown) -> KvTransfer:
    if dated is None:
        return replace(unknown_kv(nobody), bytes_nic=nic)
    return instance_kv(dated.tally, role, dated.age_s, kv, nic)


def _load(loads: Sequence[Load], nobody: Unknown) -> Load:
    def over(pick: Callable[[Load], Fig], fold: Callable[[Sequence[float]], float]) -> Fig:
        figures = [pick(load) for load in loads]
        known = [figure for figure in figures if isinstance(figure, Figure)]
        if not known:
            return next((figure for figure in figures if isinstance(figure, Unknown)), nobody)
        age_s = max(figure.age_s for figure in known)
        note = "" if len(known) == len(figures) else f"of {len(known)} of {len(figures)} instances"
        return Figure.exact(fold([figure.low for figure in known]), age_s, note=note)

    return Load(
        over(lambda load: load.running, sum),
        over(lambda load: load.waiting, sum),
        over(lambda load: load.deferred, sum),
        over(lambda load: load.kv_usage, max),
    )
