"""The fleet as rows: one a node, a slot or an instance, each the sum of what runs there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pdctl.model.deployment import Slo
from pdctl.model.figure import Basis, Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.model.snapshot import WINDOWS_S, InstanceFigures, NodeFigures, Snapshot, Vital
from pdctl.tui.levels import Level, of_instance, worst

WINDOW_S: Final = WINDOWS_S[0]
STALE_TICKS: Final = 3.0
"""A row is old where nothing was heard for so many intervals."""


class Rows(StrEnum):
    """What one row is."""

    NODES = "nodes"
    SLOTS = "slots"
    INSTANCES = "instances"

    @property
    def following(self) -> Rows:
        every = list(Rows)
        return every[(every.index(self) + 1) % len(every)]


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One row. `id` is its selector in the CLI; `slots` are the ids of the slots that it stands for.

    Loads and rates are sums, latencies and KV usage the highest. `old_s` is set where nothing new was heard. Latencies
    in seconds, sizes in bytes, rates per second, all over the shortest window. None: there is no such thing here.
    """

    id: str
    node: str
    slots: tuple[str, ...]
    instances: tuple[str, ...]
    pools: tuple[str, ...]
    role: Role | None
    state: str
    level: Level
    why: str
    running: Fig | None
    waiting: Fig | None
    kv_usage: Fig | None
    ttft: Fig | None
    itl99: Fig | None
    tokens_in: Fig | None
    tokens_out: Fig | None
    kv_rate: Fig | None
    generation: int | None
    heat: Fig | None
    power: Fig | None
    vram: Fig | None
    nic_errors: Fig | None
    age_s: float | None
    old_s: float | None
    slo: Slo


def fleet_rows(snapshot: Snapshot, rows: Rows) -> tuple[FleetRow, ...]:
    """All rows of that kind, in the order of the snapshot."""
    by_node: dict[str, list[InstanceFigures]] = {name: [] for name in snapshot.nodes}
    for instance in snapshot.instances.values():
        by_node.setdefault(instance.node, []).append(instance)
    if rows is Rows.NODES:
        return tuple(_row(snapshot, name, name, members) for name, members in by_node.items())
    if rows is Rows.INSTANCES:
        return tuple(_row(snapshot, item.name, item.node, [item]) for item in snapshot.instances.values())
    by_slot: dict[str, list[InstanceFigures]] = {}
    for instance in snapshot.instances.values():
        by_slot.setdefault(f"{instance.node}.{instance.slot}", []).append(instance)
    return tuple(_row(snapshot, name, members[0].node, members) for name, members in by_slot.items())


def _row(snapshot: Snapshot, row_id: str, node_name: str, members: Sequence[InstanceFigures]) -> FleetRow:
    node = snapshot.nodes.get(node_name)
    state, level, why = _state(node, members)
    windows = [item.windows[WINDOW_S] for item in members]
    roles = {item.role for item in members}
    age_s = _age(node, members)
    gpus, nics = (node.gpus, node.nics) if node is not None else ((), ())
    return FleetRow(
        id=row_id,
        node=node_name,
        slots=tuple(dict.fromkeys(f"{item.node}.{item.slot}" for item in members)),
        instances=tuple(item.name for item in members),
        pools=tuple(dict.fromkeys(item.pool for item in members)),
        role=roles.pop() if len(roles) == 1 else None,
        state=state,
        level=level,
        why=why,
        running=total(item.load.running for item in members),
        waiting=total(item.load.waiting for item in members),
        kv_usage=highest(item.load.kv_usage for item in members),
        ttft=highest(item.latencies.ttft.mean for item in windows),
        itl99=highest(item.windows[WINDOW_S].latencies.itl.p99 for item in members if item.role is not Role.PREFILL),
        tokens_in=total(item.flow.tokens_in for item in windows),
        tokens_out=total(item.flow.tokens_out for item in windows),
        kv_rate=total(_kv_rate(item) for item in members if item.role is not Role.PREFILL),
        generation=members[0].generation if len(members) == 1 else None,
        heat=highest(gpu.temperature_c for gpu in gpus),
        power=total(gpu.power_w for gpu in gpus),
        vram=_share(total(gpu.vram_used_bytes for gpu in gpus), total(gpu.vram_total_bytes for gpu in gpus)),
        nic_errors=total(nic.errors for nic in nics),
        age_s=age_s,
        old_s=age_s if age_s is not None and age_s > STALE_TICKS * snapshot.interval_s else None,
        slo=snapshot.slo,
    )


def _state(node: NodeFigures | None, members: Sequence[InstanceFigures]) -> tuple[str, Level, str]:
    """In a word, how bad that is, and why."""
    if node is not None and node.reachable is False:
        return "lost", Level.BAD, node.why
    if not members:
        return "spare", Level.DIM, node.why if node is not None else ""
    levels = [of_instance(item) for item in members]
    level = worst(levels)
    shown = members[levels.index(level)]
    word = shown.vital.value
    if shown.vital is Vital.UP and shown.member is not True:
        word = "no member" if shown.member is False else "member?"
    elif shown.vital is Vital.UP:
        word = "ready"
    many = f" {levels.count(level)}/{len(levels)}" if len(levels) > 1 and level is not Level.GOOD else ""
    return word + many, level, shown.why


def _age(node: NodeFigures | None, members: Sequence[InstanceFigures]) -> float | None:
    """Since the last whole answer of the engine that is silent longest, else since the node was heard."""
    ages = [item.scrape_age_s for item in members]
    known = [age for age in ages if age is not None]
    if known:
        return max(known)
    return None if members or node is None else node.age_s


def _kv_rate(instance: InstanceFigures) -> Fig:
    kv = instance.kv[WINDOW_S]
    return kv.bytes_measured if isinstance(kv.bytes_measured, Figure) else kv.bytes_derived


def total(figures: Iterable[Fig]) -> Fig | None:
    """Their sum, or why one of them is not known: a sum of some would be wrong. None of nothing."""
    low = high = age_s = 0.0
    basis, found = Basis.MEASURED, False
    for figure in figures:
        if isinstance(figure, Unknown):
            return figure
        found = True
        low, high, age_s = low + figure.low, high + figure.high, max(age_s, figure.age_s)
        basis = basis if figure.basis is Basis.MEASURED else figure.basis
    return Figure(low, high, age_s, basis) if found else None


def highest(figures: Iterable[Fig]) -> Fig | None:
    """The highest of those that are known. None of nothing."""
    best: Fig | None = None
    for figure in figures:
        if best is None or (isinstance(figure, Figure) and (isinstance(best, Unknown) or figure.middle > best.middle)):
            best = figure
    return best


def _share(part: Fig | None, whole: Fig | None) -> Fig | None:
    if not isinstance(part, Figure):
        return part
    if not isinstance(whole, Figure):
        return whole
    if whole.low <= 0:
        return Unknown("its size is not known")
    return Figure(part.low / whole.high, part.high / whole.low, part.age_s, part.basis)
