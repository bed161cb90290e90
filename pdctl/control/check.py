"""`check`: collect from every node at once and judge them together. Read-only; needs no lease.

Envelopes are raw, so the same judging runs on what was saved: a replay asks no node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pdctl.control.check_scope import nodes_in, registry_for, situation_of
from pdctl.control.cluster import Cluster
from pdctl.control.collect_nodes import Arrived, collect_nodes
from pdctl.control.observe import observe
from pdctl.control.without_gc import without_gc
from pdctl.errors import UsageError
from pdctl.health.check import Fleet
from pdctl.health.collection import Profile
from pdctl.health.envelope import Envelope
from pdctl.health.expectations import Situation
from pdctl.health.fleet import fleet_of
from pdctl.health.judge import judge
from pdctl.health.records import HealthRecords, MemoryRecords
from pdctl.health.registry import Registry
from pdctl.health.report import Report
from pdctl.health.saved import Archive, Saved, read_archive, save
from pdctl.model.deployment import Deployment
from pdctl.model.observed import Observed, Trouble
from pdctl.plan.one_machine import refuse_one_machine


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check came to. `saved`: what each node sent, with what of ours ran there; `took_s`: wall time here.

    `unreadable`: files of a replay that hold no envelope, with why.
    """

    report: Report
    fleet: Fleet
    saved: Mapping[str, Saved]
    took_s: float = 0.0
    unreadable: Mapping[str, str] = field(default_factory=dict)


async def check(
    cluster: Cluster,
    *,
    scope: frozenset[str] | None = None,
    observed: Observed | None = None,
    records: HealthRecords | None = None,
    arrived: Arrived = lambda node, answer: None,
    only_reach: bool = False,
) -> Checked:
    """T1 of the nodes that hold a slot in `scope` (None: all); `only_reach`: T0. `observed`: what runs, where the
    caller has just looked.

    Raises InventoryError where the inventory names a check that does not exist, PlanRefused where two of its nodes are
    one machine; what a node does raises nothing.
    """
    deployment, clock = cluster.deployment, cluster.clock
    registry = registry_for(deployment).reach() if only_reach else registry_for(deployment)
    profile = Profile.REACH if only_reach else Profile.FULL
    began = clock.monotonic()
    nodes = nodes_in(deployment, scope)
    with without_gc():
        looked, answers = await asyncio.gather(
            _given(observed) if observed is not None else observe(cluster, nodes),
            collect_nodes(deployment, cluster.shells, clock, nodes, profile=profile, arrived=arrived),
        )
    refuse_one_machine(deployment, looked)
    situation = situation_of(deployment, looked, scope)
    envelopes = {name: answer for name, answer in answers.items() if isinstance(answer, Envelope)}
    troubles = {name: answer for name, answer in answers.items() if isinstance(answer, Trouble)}
    memory = records or MemoryRecords()
    fleet, report = _judged(deployment, registry, envelopes, situation, troubles, memory)
    if not only_reach:
        _remember(memory, fleet)
    saved = {name: _saved(envelope, situation, name) for name, envelope in envelopes.items()}
    return Checked(report, fleet, saved, clock.monotonic() - began)


def replay(deployment: Deployment, directory: Path, *, scope: frozenset[str] | None = None) -> Checked:
    """Judge together what was saved in `directory`. Touches no network and remembers nothing.

    Raises UsageError where nothing there is an envelope of a node of this inventory, InventoryError as `check`.
    """
    try:
        archive = read_archive(directory)
    except OSError as error:
        raise UsageError(f"{directory} cannot be read: {error.strerror}") from None
    known = {name: saved for name, saved in archive.nodes.items() if name in deployment.nodes}
    if not known:
        raise UsageError(f"{directory} holds no envelope of a node of this inventory", hint=_held(archive))
    situation = Situation(
        serving={name: saved.serving for name, saved in known.items() if saved.serving is not None},
        units={name: saved.units for name, saved in known.items()},
        scope=scope,
    )
    envelopes = {name: saved.envelope for name, saved in known.items()}
    fleet, report = _judged(deployment, registry_for(deployment), envelopes, situation, {}, MemoryRecords())
    return Checked(report, fleet, known, unreadable=archive.unreadable)


def save_all(directory: Path, checked: Checked) -> tuple[Path, ...]:
    """Write every envelope, one file a node. Raises UsageError where that cannot be."""
    try:
        return tuple(save(directory, saved) for saved in checked.saved.values())
    except OSError as error:
        raise UsageError(f"{directory} cannot be written: {error.strerror}") from None


async def _given(observed: Observed) -> Observed:
    return observed


def _judged(
    deployment: Deployment,
    registry: Registry,
    envelopes: Mapping[str, Envelope],
    situation: Situation,
    troubles: Mapping[str, Trouble],
    records: HealthRecords,
) -> tuple[Fleet, Report]:
    with without_gc():
        fleet = fleet_of(
            deployment,
            envelopes,
            policy=deployment.checks,
            situation=situation,
            unreachable=troubles,
            baselines=records.baselines(),
        )
        return fleet, judge(fleet, registry)


def _remember(records: HealthRecords, fleet: Fleet) -> None:
    """Counters are compared with these next time. A disk that takes nothing costs that, and no more."""
    try:
        records.keep_baselines({name: facts.baseline() for name, facts in fleet.nodes.items()})
    except OSError:
        return


def _saved(envelope: Envelope, situation: Situation, node: str) -> Saved:
    return Saved(envelope, situation.serving.get(node), situation.units.get(node, ()))


def _held(archive: Archive) -> str:
    if archive.nodes:
        return f"it holds {', '.join(sorted(archive.nodes)[:5])}"
    return "; ".join(f"{path}: {why}" for path, why in list(archive.unreadable.items())[:2])
