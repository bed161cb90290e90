"""`status`: what is, next to what is wanted. Read-only. Unknown is said as such, with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from pdctl.control.autopsy import autopsy
from pdctl.control.builds import differing_builds
from pdctl.control.cluster import Cluster
from pdctl.control.history import read_holds
from pdctl.control.observe import observe
from pdctl.control.ports import NotAnswering
from pdctl.control.steps.routing import router_url
from pdctl.control.wanted import wanted
from pdctl.model.deployment import Instance
from pdctl.model.events import plain
from pdctl.model.hold import Hold
from pdctl.model.observed import Observed
from pdctl.model.role import Role
from pdctl.model.unit import UnitState, UnitStatus
from pdctl.plan.held import hold_on, slots_of, whose
from pdctl.plan.standing import NOT_RUNNING, Standing, stand
from pdctl.plan.steps import REGISTRAR, ROUTER

PROBE_S = 3.0
UNSEEN = "it failed, and left no evidence of how"


class State(StrEnum):
    """One word per instance or service, the same in text, JSON and the TUI."""

    SERVING = "serving"
    WITHHELD = "withheld"  # a member that the registrar holds back
    UNREGISTERED = "unregistered"  # answers, but is no member
    LOADING = "loading"
    SILENT = "silent"  # a member, runs, and does not answer /health
    OUTDATED = "outdated"
    PARTIAL = "partial"
    STOPPING = "stopping"
    FAILED = "failed"
    DOWN = "down"
    DRAINED = "drained"  # out of service because it is held; what runs there is in `why`
    QUARANTINED = "quarantined"
    RUNNING = "running"  # router, registrar
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class UnitView:
    """One line of `status`. `why` is the cause where the state is not the wanted one; `last_lines` are of its log.

    A state is `unknown` where a node could not be asked, and also where the engine answers and nobody can say whether
    it is a member.
    """

    name: str
    node: str
    pool: str
    role: str
    state: State
    generation: int | None = None
    endpoint: str = ""
    gpus: tuple[int, ...] = ()
    pid: int | None = None
    started_at: float | None = None
    restarts: int = 0
    why: str = ""
    last_lines: tuple[str, ...] = ()
    held: str = ""  # who holds its slot and why, whatever its state


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """The whole. `serving` is None where it is unknown. `holds` stand, `expired_holds` count no more."""

    cluster: str
    ratio: str
    serving: bool | None
    router_url: str
    instances: tuple[UnitView, ...]
    services: tuple[UnitView, ...]
    strays: tuple[str, ...]
    alerts: tuple[str, ...]
    unreachable: Mapping[str, str] = field(default_factory=dict)
    membership_age_s: float | None = None
    holds: tuple[Hold, ...] = ()
    expired_holds: tuple[Hold, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 when everything could be asked, 4 when a node could not."""
        return 4 if self.unreachable else 0


async def status(cluster: Cluster) -> ClusterStatus:
    """Look at every node, the registrar, the holds and every engine's /health once."""
    deployment = cluster.deployment
    observed, holds = await asyncio.gather(observe(cluster), read_holds(cluster))
    observed = replace(observed, holds=holds)
    hashes = wanted(deployment).hashes
    views = await asyncio.gather(*(_instance(cluster, observed, hashes, instance) for instance in deployment.instances))
    known = {part.name for instance in deployment.instances for part in instance.parts} | {ROUTER, REGISTRAR}
    living = (UnitState.RUNNING, UnitState.STOPPING)
    strays = tuple(sorted(name for name, unit in observed.units.items() if name not in known and unit.state in living))
    services = tuple(_service(cluster, observed, name) for name in (ROUTER, REGISTRAR))
    membership = observed.membership
    return ClusterStatus(
        deployment.cluster,
        ratio(deployment.instances, views),
        _serving(views, services, observed),
        router_url(deployment),
        tuple(views),
        services,
        strays,
        _alerts(observed),
        {name: trouble.cause for name, trouble in observed.unreachable.items()},
        membership.age_s if membership else None,
        tuple(holds.standing.values()),
        tuple(holds.expired.values()),
    )


def _alerts(observed: Observed) -> tuple[str, ...]:
    """What the operator should know besides the state of each unit, with who says it."""
    registrar = observed.membership.alerts if observed.membership else ()
    notes = (f"{name}: {note}" for name, view in observed.nodes.items() for note in view.notes)
    unknown = (f"which slots are held is not known: {observed.holds.trouble}",) if observed.holds.trouble else ()
    old = (
        f"{unit.labels.instance} runs on {node} too, where the inventory does not have it: `pdctl up` stops it"
        for node, unit in observed.elsewhere
    )
    return (*(f"registrar: {alert}" for alert in registrar), *differing_builds(observed), *notes, *unknown, *old)


def ratio(instances: tuple[Instance, ...], views: tuple[UnitView, ...] | list[UnitView]) -> str:
    """Serving instances by role, as in 2P3D; with how many are wanted where some are missing: `1/2P 3D`."""
    parts = []
    for role in Role:
        wanted_count = sum(1 for instance in instances if instance.role is role)
        serving = sum(1 for view in views if view.role == role.value and view.state is State.SERVING)
        if wanted_count:
            text = f"{wanted_count}" if serving == wanted_count else f"{serving}/{wanted_count}"
            parts.append(f"{text}{role.letter}")
    return "".join(parts) if all("/" not in part for part in parts) else " ".join(parts)


def _serving(views: list[UnitView], services: tuple[UnitView, ...], observed: Observed) -> bool | None:
    if services[0].state is State.UNKNOWN or (observed.membership is None and services[1].state is State.RUNNING):
        return None
    roles = {view.role for view in views}
    up = {view.role for view in views if view.state is State.SERVING}
    return services[0].state is State.RUNNING and roles <= up


async def _instance(cluster: Cluster, observed: Observed, hashes: Mapping[str, str], instance: Instance) -> UnitView:
    seen = stand(instance, {part.name: hashes[part.name] for part in instance.parts}, observed)
    unit = observed.unit(instance.leader.name)
    endpoint = unit.endpoint if unit is not None and unit.state is UnitState.RUNNING else ""
    why = seen.reason
    lines: tuple[str, ...] = ()
    match seen.standing:
        case Standing.BLOCKED:
            state = State.UNKNOWN
        case Standing.SERVING | Standing.UNREGISTERED:
            answers = await _answers(cluster, instance.leader.node, endpoint)
            state, why = _running_state(seen.standing, answers, instance.name, observed, seen.reason)
        case Standing.DOWN:
            state, why, lines = await _ended(cluster, instance, unit, seen.reason)
        case standing:
            state = State(standing.value)
    state, held = _held(instance, state, observed)
    return UnitView(
        instance.name,
        instance.leader.node,
        instance.pool,
        instance.role.value,
        state,
        unit.labels.generation if unit else None,
        endpoint,
        instance.leader.gpus,
        unit.pid if unit else None,
        unit.started_at if unit else None,
        unit.restarts if unit else 0,
        why,
        lines,
        held,
    )


def _held(instance: Instance, state: State, observed: Observed) -> tuple[State, str]:
    """Its state under the holds on its slots, and who holds them. Held away and still a member is not out of service;
    what is unknown stays so."""
    standing = observed.holds.standing
    holds = [standing[slot] for slot in slots_of(instance) if slot in standing]
    if not holds:
        return state, ""
    away = hold_on(instance, standing)
    words = whose(away or holds[0])
    if away is None or state is State.UNKNOWN:
        return state, words
    if state in (State.SERVING, State.WITHHELD, State.SILENT):
        return state, f"{words}; still a member: `pdctl drain` was cut short, run it again"
    return State(away.kind.value), words


def _running_state(standing: Standing, answers: bool, name: str, observed: Observed, reason: str) -> tuple[State, str]:
    if standing is Standing.UNREGISTERED:
        if answers:
            return (State.UNKNOWN if _membership_unknown(observed) else State.UNREGISTERED), reason
        return State.LOADING, "does not answer /health yet"
    member = observed.membership.members.get(name) if observed.membership else None
    if member is not None and not member.registered:
        return State.WITHHELD, member.why
    return (State.SERVING, "") if answers else (State.SILENT, "registered, but does not answer /health")


def _membership_unknown(observed: Observed) -> bool:
    """Whether members may be registered without our knowing: a registrar that is known not to run registers nobody."""
    if observed.membership is not None:
        return False
    registrar = observed.unit(REGISTRAR)
    ended = (UnitState.EXITED, UnitState.FAILED, UnitState.ABSENT)
    return bool(observed.unreachable) if registrar is None else registrar.state not in ended


async def _ended(
    cluster: Cluster, instance: Instance, unit: UnitStatus | None, reason: str
) -> tuple[State, str, tuple[str, ...]]:
    """An engine that ended unasked has failed, whatever status it ended with. Of one that is not there is no more to
    say than that."""
    if unit is None:
        return State.DOWN, "" if reason == NOT_RUNNING else reason, ()
    if unit.exit is None:
        return (State.FAILED, UNSEEN, ()) if unit.state is UnitState.FAILED else (State.DOWN, reason, ())
    if unit.exit.requested and unit.state is not UnitState.FAILED:
        return State.DOWN, reason, unit.exit.last_lines
    found = await autopsy(cluster.engines[instance.leader.node], unit, unit.exit)
    return State.FAILED, found.why, found.last_lines


async def _answers(cluster: Cluster, node: str, endpoint: str) -> bool:
    try:
        answer = await cluster.http.request(node, "GET", f"http://{endpoint}/health", timeout_s=PROBE_S)
    except NotAnswering:
        return False
    return answer.status == 200


def _service_state(unit: UnitStatus) -> State:
    match unit.state:
        case UnitState.UNKNOWN | UnitState.STOPPING:
            return State(unit.state.value)
        case UnitState.EXITED if unit.exit is not None and unit.exit.requested:
            return State.DOWN
        case UnitState.ABSENT:
            return State.DOWN
        case _:
            return State.FAILED


def _service(cluster: Cluster, observed: Observed, name: str) -> UnitView:
    node = cluster.deployment.router.node
    trouble = observed.unreachable.get(node)
    unit = observed.unit(name)
    if trouble is not None:
        state, why = State.UNKNOWN, trouble.cause
    elif unit is None:
        state, why = State.DOWN, ""
    elif unit.state is UnitState.RUNNING:
        state, why = State.RUNNING, ""
    else:
        state = _service_state(unit)
        unseen = {State.UNKNOWN: "its state could not be read", State.FAILED: UNSEEN}
        why = unit.exit.cause if unit.exit else unseen.get(state, "")
    return UnitView(
        name,
        node,
        "",
        name,
        state,
        unit.labels.generation if unit else None,
        pid=unit.pid if unit else None,
        started_at=unit.started_at if unit else None,
        restarts=unit.restarts if unit else 0,
        why=why,
        last_lines=unit.exit.last_lines if unit is not None and unit.exit is not None else (),
    )


def as_json(seen: ClusterStatus) -> dict[str, Any]:
    """The status as one JSON-able document."""
    return dict(plain(seen))
