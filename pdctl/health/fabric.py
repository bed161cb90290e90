"""What T2 tests over the fabric: the pairs that KV will move between, and only those, in rounds that do not disturb.

A test needs its NICs for itself: two at once on one NIC measure each other. So sessions go in rounds in which no NIC is
used twice and no host takes part in more than eight (one SSH channel each). A NIC that a member uses is refused: a
bandwidth test would be a fault to its requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pdctl.model.deployment import Deployment, Instance
from pdctl.model.role import Connector, Role

MAX_SESSIONS = 8
"""Per host and round: pdctl holds one connection per node with at most eight channels on it."""

FIRST_PORT = 18_515
"""perftest's default port; engines get theirs from 20000 on."""

MESSAGE_BYTES = 65_536
BANDWIDTH_S = 3


@dataclass(frozen=True, slots=True)
class FabricNic:
    """One RDMA device as a test needs it. `gpus` are the GPUs it is the rail of; () where that is not known.

    `address` and `gid_index` are "" and None where the node has none, or nobody could tell.
    """

    node: str
    device: str
    rail: int
    netdev: str = ""
    address: str = ""
    gid_index: int | None = None
    rate_gbps: float | None = None
    gpus: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.node}/{self.device}"


@dataclass(frozen=True, slots=True)
class Session:
    """One pair of NICs to test. `ports` on the server: ibv_rc_pingpong's, ib_write_lat's and ib_write_bw's."""

    client: FabricNic
    server: FabricNic
    ports: tuple[int, int, int] = (FIRST_PORT, FIRST_PORT + 1, FIRST_PORT + 2)

    @property
    def name(self) -> str:
        return f"{self.client.name} -> {self.server.name}"


@dataclass(frozen=True, slots=True)
class Refused:
    """A pair that is planned and not tested, and why."""

    session: Session
    why: str


@dataclass(frozen=True, slots=True)
class FabricPlan:
    """Rounds to run one after the other; the sessions of a round run side by side."""

    rounds: tuple[tuple[Session, ...], ...]
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class FabricSite:
    """What the plan needs to know of the nodes: their NICs by rail, the GPUs that serve now, the ports in use."""

    nics: Mapping[str, tuple[FabricNic, ...]]
    serving: Mapping[str, frozenset[int]] = field(default_factory=dict)
    listening: Mapping[str, frozenset[int]] = field(default_factory=dict)


def plan_fabric(deployment: Deployment, site: FabricSite, *, scope: frozenset[str] | None = None) -> FabricPlan:
    """The sessions of every prefill with every decode instance that KV moves between, of slots in `scope` at one end
    at least (None: all). Empty without a KV connector."""
    wanted: dict[tuple[str, str], Session] = {}
    for prefill, decode in _pairs(deployment, scope):
        for session in _sessions(prefill, decode, site):
            wanted.setdefault((session.client.name, session.server.name), session)
    refused = [Refused(each, why) for each in wanted.values() if (why := _objection(each, site))]
    left_out = {each.session for each in refused}
    good = [session for session in wanted.values() if session not in left_out]
    return FabricPlan(_with_ports(_rounds(good), site.listening), tuple(refused))


def _pairs(deployment: Deployment, scope: frozenset[str] | None) -> Iterator[tuple[Instance, Instance]]:
    """Prefill and decode instances, ordered so that neighbours in the order share no node where that is possible."""
    if deployment.kv.connector is Connector.NONE:
        return
    prefills = [instance for instance in deployment.instances if instance.role is Role.PREFILL]
    decodes = [instance for instance in deployment.instances if instance.role is Role.DECODE]
    for shift in range(max(len(prefills), len(decodes))):
        for index in range(max(len(prefills), len(decodes))):
            other = (index + shift) % max(len(prefills), len(decodes))
            if index < len(prefills) and other < len(decodes):
                pair = prefills[index], decodes[other]
                if scope is None or not scope.isdisjoint((*slots_of(pair[0]), *slots_of(pair[1]))):
                    yield pair


def slots_of(instance: Instance) -> tuple[str, ...]:
    """Ids of the slots of its parts."""
    return tuple(f"{part.node}.{part.slot}" for part in instance.parts)


def _sessions(prefill: Instance, decode: Instance, site: FabricSite) -> Iterator[Session]:
    """Rail with the same rail; where the two sides' rails differ in number or name, in order, the shorter side again
    from its start. Parts on one and the same node do not need the fabric."""
    for source in prefill.parts:
        for target in decode.parts:
            if source.node == target.node:
                continue
            ours = _rails(site.nics.get(source.node, ()), source.gpus)
            theirs = _rails(site.nics.get(target.node, ()), target.gpus)
            by_rail = {nic.rail: nic for nic in theirs}
            if {nic.rail for nic in ours} == set(by_rail):
                yield from (Session(nic, by_rail[nic.rail]) for nic in ours)
            elif ours and theirs:
                count = max(len(ours), len(theirs))
                yield from (Session(ours[i % len(ours)], theirs[i % len(theirs)]) for i in range(count))


def _rails(nics: tuple[FabricNic, ...], gpus: tuple[int, ...]) -> list[FabricNic]:
    """The NICs that these GPUs use: their own rails, and those of which nobody knows whose they are."""
    return sorted((nic for nic in nics if not nic.gpus or not set(nic.gpus).isdisjoint(gpus)), key=lambda nic: nic.rail)


def _objection(session: Session, site: FabricSite) -> str:
    """Why not to test this pair; "" where nothing speaks against it."""
    for nic in (session.client, session.server):
        serving = site.serving.get(nic.node, frozenset())
        if serving and (not nic.gpus or not serving.isdisjoint(nic.gpus)):
            return f"{nic.name} is used by an engine that serves"
        if not nic.address:
            return f"{nic.name} has no IPv4 address that is known"
        if nic.gid_index is None:
            return f"{nic.name} has no RoCE v2 GID that is known"
    return ""


def _rounds(sessions: Iterable[Session]) -> tuple[tuple[Session, ...], ...]:
    """Each session in the first round that has room for it."""
    rounds: list[list[Session]] = []
    for session in sessions:
        place = next((each for each in rounds if _has_room(each, session)), None)
        if place is None:
            rounds.append([session])
        else:
            place.append(session)
    return tuple(tuple(each) for each in rounds)


def _has_room(taken: list[Session], session: Session) -> bool:
    nics = {nic.name for each in taken for nic in (each.client, each.server)}
    hosts = Counter(nic.node for each in taken for nic in (each.client, each.server))
    ends = (session.client, session.server)
    return nics.isdisjoint(nic.name for nic in ends) and all(hosts[nic.node] < MAX_SESSIONS for nic in ends)


def _with_ports(
    rounds: tuple[tuple[Session, ...], ...], listening: Mapping[str, frozenset[int]]
) -> tuple[tuple[Session, ...], ...]:
    """Ports that are free on the server, none given out twice: a server of an earlier round may still be ending."""
    free: dict[str, Iterator[int]] = {}
    numbered = []
    for sessions in rounds:
        row = []
        for session in sessions:
            node = session.server.node
            taken = listening.get(node, frozenset())
            ports = free.setdefault(node, _free_ports(taken))
            row.append(Session(session.client, session.server, (next(ports), next(ports), next(ports))))
        numbered.append(tuple(row))
    return tuple(numbered)


def _free_ports(taken: frozenset[int]) -> Iterator[int]:
    """From perftest's default upwards, and below it when engines' ports begin; round and round if need be."""
    while True:
        yield from (port for port in (*range(FIRST_PORT, 20_000), *range(15_000, FIRST_PORT)) if port not in taken)


def ping_argv(session: Session) -> tuple[str, ...]:
    """Three echoes from the rail's own address. By address and not by interface: `ping -I <interface>` finds routes
    that RDMA traffic does not take (ROCm/MAD rail_routes)."""
    return ("ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-I", session.client.address, session.server.address)


def pingpong_argv(session: Session, *, server: bool) -> tuple[str, ...]:
    """`ibv_rc_pingpong`: a reliable connection between the two queue pairs. rping is too forgiving (CVS)."""
    nic = session.server if server else session.client
    argv = ("ibv_rc_pingpong", "-d", nic.device, "-i", "1", "-g", str(nic.gid_index), "-p", str(session.ports[0]))
    return argv if server else (*argv, session.server.address)


def write_lat_argv(session: Session, *, server: bool) -> tuple[str, ...]:
    """`ib_write_lat` of perftest: a thousand writes of its smallest message."""
    return _perftest("ib_write_lat", session, 1, ("-n", "1000"), server=server)


def write_bw_argv(session: Session, *, server: bool) -> tuple[str, ...]:
    """`ib_write_bw` of perftest: 64 KiB writes for three seconds, in Gb/s."""
    test = ("--report_gbits", "-s", str(MESSAGE_BYTES), "-D", str(BANDWIDTH_S))
    return _perftest("ib_write_bw", session, 2, test, server=server)


def _perftest(tool: str, session: Session, port: int, test: tuple[str, ...], *, server: bool) -> tuple[str, ...]:
    """`-F`: a CPU whose clock varies is no reason to give up."""
    nic = session.server if server else session.client
    argv = (tool, "-d", nic.device, "-i", "1", "-x", str(nic.gid_index), "-p", str(session.ports[port]), "-F", *test)
    return argv if server else (*argv, session.server.address)
