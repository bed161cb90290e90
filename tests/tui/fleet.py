"""Snapshots of made-up fleets, of any size and with named faults, for tests of screens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pdctl.model.deployment import Slo
from pdctl.model.figure import Basis, Fig, Figure, Latency
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.model.snapshot import (
    WINDOWS_S,
    Alert,
    AlertLevel,
    Attainment,
    ClientView,
    Flow,
    GpuFigures,
    InstanceFigures,
    KvTransfer,
    Latencies,
    Load,
    NicFigures,
    NodeFigures,
    PairFigures,
    PairState,
    PoolFigures,
    RouterFigures,
    Snapshot,
    Source,
    Vital,
    Window,
)

START_S = 1_700_000_000.0
GIB = float(1 << 30)


def exact(value: float, basis: Basis = Basis.MEASURED) -> Figure:
    """A figure that is known to the digit, and new."""
    return Figure.exact(value, 0.0, basis)


def latency(middle_s: float, tail_s: float, count: float = 100.0) -> Latency:
    """A latency with buckets' intervals around its quantiles."""
    return Latency(
        exact(count),
        exact(middle_s),
        Figure(middle_s * 0.8, middle_s * 1.1, 0.0),
        Figure(tail_s * 0.6, tail_s * 0.8, 0.0),
        Figure(tail_s * 0.9, tail_s * 1.2, 0.0),
    )


def window(role: Role, load: float, covered_s: float) -> Window:
    """What an instance, or a pool `load` times as busy, did in a window."""
    flow = Flow(
        exact(2.0 * load), exact(1024.0 * load), exact(64.0 * load), exact(20.0 * load), exact(0.0), exact(0.1), {},
        exact(64.0 * load),
    )  # fmt: skip
    nothing = Latency.unknown("no such request")
    ttft = latency(0.21, 0.8) if role is not Role.DECODE else latency(0.26, 0.9)
    itl = latency(0.012, 0.031) if role is not Role.PREFILL else nothing
    return Window(covered_s, flow, Latencies(ttft, itl, itl, latency(0.01, 0.1), ttft, itl, latency(1.5, 3.0)))


def kv(role: Role, load: float) -> KvTransfer:
    """KV that moved: decode sides know how much."""
    moved: Fig = exact(1.6e9 * load, Basis.DERIVED) if role is Role.DECODE else Unknown("counted on the decode side")
    return KvTransfer(
        Unknown("the connector exports none"), moved, exact(1.7e9 * load), exact(2.0 * load),
        latency(0.02, 0.06), exact(0.0), exact(0.0), exact(0.0),
    )  # fmt: skip


def node_name(number: int) -> str:
    return f"n{number:02d}" if number < 100 else f"n{number}"


def instance(number: int, role: Role, *, tick: int = 0, vital: Vital = Vital.UP) -> InstanceFigures:
    """One instance that fills its node. `tick` moves its load a little."""
    node = node_name(number)
    busy = 1.0 + ((number * 7 + tick) % 5) / 10
    return InstanceFigures(
        name=f"{node}.main.0",
        node=node,
        slot="main",
        pool=role.value,
        role=role,
        generation=1,
        vital=vital,
        member=vital is Vital.UP,
        why="" if vital is Vital.UP else "no step for 30 s" if vital is Vital.HUNG else "its unit is not there",
        scrape_age_s=0.2 if vital in (Vital.UP, Vital.HUNG) else 42.0,
        load=Load(exact(float(4 + (number + tick) % 3)), exact(float(tick % 2)), exact(0.0), exact(0.35)),
        windows={WINDOWS_S[0]: window(role, busy, 10.0)},
        kv={WINDOWS_S[0]: kv(role, busy)},
    )


def node(number: int, *, gpus: int = 2, age_s: float | None = 0.3, reachable: bool | None = True) -> NodeFigures:
    """One node with GPUs and NICs that are well."""
    return NodeFigures(
        node_name(number),
        reachable,
        "" if reachable else "connection lost: the node does not answer",
        age_s,
        tuple(
            GpuFigures(index, exact(150 * GIB), exact(192 * GIB), exact(61.0 + index), exact(540.0), exact(0.83),
                       exact(0.0))
            for index in range(gpus)
        ),
        tuple(
            NicFigures(f"mlx5_{index}", "ACTIVE", exact(400.0), exact(1.2e9), exact(1.1e9), exact(0.0))
            for index in range(gpus)
        ),
    )  # fmt: skip


def snapshot(
    prefills: int = 2,
    decodes: int = 3,
    *,
    tick: int = 0,
    hung: tuple[int, ...] = (),
    down: tuple[int, ...] = (),
    lost: tuple[int, ...] = (),
    source: Source = Source.LIVE,
    cluster: str = "demo",
) -> Snapshot:
    """A fleet of one instance per node, prefills first: nodes n01, n02 ... are numbered from 1.

    `hung`, `down`: numbers of nodes whose engines are so; `lost`: nodes that cannot be reached.
    """
    roles = {number: Role.PREFILL if number <= prefills else Role.DECODE for number in range(1, prefills + decodes + 1)}

    def vital(number: int) -> Vital:
        if number in lost:
            return Vital.UNKNOWN
        return Vital.HUNG if number in hung else Vital.DOWN if number in down else Vital.UP

    instances = [instance(number, role, tick=tick, vital=vital(number)) for number, role in roles.items()]
    nodes = [
        node(number, age_s=42.0, reachable=False) if number in lost else node(number)
        for number in roles
    ]  # fmt: skip
    return Snapshot(
        cluster=cluster,
        seq=tick,
        taken_s=START_S + tick,
        source=source,
        interval_s=1.0,
        slo=Slo(1.0, 0.05, 0.95),
        instances={item.name: item for item in instances},
        pools={role.value: pool(role, [item for item in instances if item.role is role]) for role in _present(roles)},
        client={seconds: client() for seconds in WINDOWS_S},
        router=RouterFigures(
            Vital.UP, "", exact(10.0), {}, exact(1.0), exact(12.0), {item.name: True for item in instances}, 0.4
        ),
        nodes={item.name: item for item in nodes},
        pairs=pairs(instances),
        alerts=tuple(alert(item) for item in instances if item.vital is not Vital.UP),
        bottleneck="decode: KV cache is 92 % full, and requests wait for room" if decodes else "",
    )


def _present(roles: Mapping[int, Role]) -> list[Role]:
    return [role for role in Role if role in roles.values()]


def pool(role: Role, instances: list[InstanceFigures]) -> PoolFigures:
    """A pool of these instances; those that do not work are left out."""
    working = [item for item in instances if item.vital is Vital.UP]
    count = float(len(working))
    return PoolFigures(
        role.value,
        role,
        len(instances),
        len(working),
        len(working),
        tuple(item.name for item in instances if item.vital is not Vital.UP),
        Load(exact(5 * count), exact(count), exact(0.0), exact(0.41)),
        {seconds: window(role, count, float(seconds)) for seconds in WINDOWS_S},
        {seconds: kv(role, count) for seconds in WINDOWS_S},
    )


def client() -> ClientView:
    """What clients see."""
    return ClientView(
        latency(0.27, 0.95),
        latency(0.012, 0.03),
        latency(1.6, 3.1),
        Attainment(exact(0.97), exact(0.99), Figure(0.96, 0.97, 0.0)),
    )


def pairs(instances: list[InstanceFigures]) -> tuple[PairFigures, ...]:
    """Every prefill with every decode, well where both work."""
    sides = {role: [item for item in instances if item.role is role] for role in (Role.PREFILL, Role.DECODE)}
    return tuple(
        PairFigures(left.name, right.name, PairState.OK, exact(0.04 + place / 100, Basis.CANARY), 0, 5)
        if left.vital is Vital.UP and right.vital is Vital.UP
        else PairFigures(left.name, right.name, PairState.BROKEN, Unknown("no hand-off"), 2, 5, "timed out")
        for left in sides[Role.PREFILL]
        for place, right in enumerate(sides[Role.DECODE])
    )


def alert(item: InstanceFigures) -> Alert:
    """An alert about an instance that does not work."""
    return Alert(
        f"{item.vital.value}:{item.name}", AlertLevel.PAGE, item.name, item.why, f"pdctl restart {item.name}", START_S
    )


def later(before: Snapshot, *, seconds: float = 1.0) -> Snapshot:
    """The same again, a tick later."""
    return replace(before, seq=before.seq + 1, taken_s=before.taken_s + seconds)
