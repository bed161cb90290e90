"""NICs and their ports: are they there, is the link up and as fast as the others, can RoCE v2 be spoken over it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pdctl.health.check import Check, Word, word_on
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.nic_device import RdmaDevice, RdmaPort
from pdctl.health.nic_scope import fabric, gpus_of, listed, named_devices
from pdctl.health.nic_sysfs import ROOT
from pdctl.health.parse.rdma_words import Gid
from pdctl.model.reading import Known, Reading, Unknown

GIGABIT_S = "Gb/s"
_PORT = f"{ROOT}/*/ports/1"


def _present(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    if not expected.rdma:
        return
    wanted = expected.spec.nics
    promise = f"{wanted} RDMA devices" if wanted else "at least one RDMA device"
    found = facts.nic.devices
    if isinstance(found, Unknown):
        yield Word(Verdict.UNKNOWN, "unknown", promise, evidence=(Evidence(found.source),), why=found.reason)
        return
    names = tuple(device.name for device in fabric(facts, expected))
    shown = f"{len(names)}: {listed(names)}" if names else "no RDMA device"
    gone = [name for name in named_devices(expected) if name not in names]
    if gone:
        shown, promise = (
            f"{shown}; not {listed(gone)}",
            f"those that the inventory names: {listed(named_devices(expected))}",
        )
    good = bool(names) and not gone and (len(names) == wanted or not wanted or bool(named_devices(expected)))
    yield Word(
        Verdict.PASS if good else Verdict.FAIL,
        shown,
        promise,
        evidence=(Evidence(found.source, listed(names)), *_elsewhere(facts)),
        fix="" if good else "lspci -nn | grep -Ei 'mellanox|broadcom|pensando'; dmesg | grep -Ei 'mlx5|bnxt|ionic'",
        why=""
        if good
        else f"{expected.connector.value} moves KV over RDMA: without its NICs the engine cannot hand over",
    )


def _elsewhere(facts: NodeFacts) -> Iterator[Evidence]:
    """What lspci shows of NICs, where that is known: a device that is on the bus but has no driver, or is gone."""
    pci = facts.host.pci
    if isinstance(pci, Known):
        nics = [device for device in pci.value if device.is_nic]
        yield Evidence(pci.source, f"{len(nics)} NICs on the PCI bus: {listed(device.address for device in nics)}")


def _state(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for device in fabric(facts, expected):
        port, gpus = device.port, gpus_of(device, facts, expected)
        if port is None:
            yield Word(Verdict.UNKNOWN, "unknown", "ACTIVE, LinkUp", device.name, gpus, why="sysfs shows no port of it")
            continue
        netdev = device.netdev.value if isinstance(device.netdev, Known) else device.name
        if isinstance(port.state, Unknown) or isinstance(port.physical, Unknown):
            bad = port.state if isinstance(port.state, Unknown) else port.physical
            assert isinstance(bad, Unknown)
            yield Word(
                Verdict.UNKNOWN, "unknown", "ACTIVE, LinkUp", device.name, gpus, (Evidence(bad.source),), why=bad.reason
            )
            continue
        up = (port.state.value, port.physical.value) == ("ACTIVE", "LinkUp")
        yield Word(
            Verdict.PASS if up else Verdict.FAIL,
            f"{port.state.value}, {port.physical.value}",
            "ACTIVE, LinkUp",
            device.name,
            gpus,
            (Evidence(port.state.source, port.state.value), Evidence(port.physical.source, port.physical.value)),
            fix=""
            if up
            else f"ip link show {netdev}; ethtool {netdev}   # then its cable, transceiver and switch port",
            why="" if up else "transfers over this rail fail or hang",
        )


def _rate(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Every rail as fast as the fastest: a link that trained at half its speed halves the whole transfer."""
    devices = fabric(facts, expected)
    rates = [rate.value for device in devices if isinstance(rate := _up_rate(device), Known)]
    for device in devices:
        if device.port is None or device.port.state != Known("ACTIVE", _source(device.port)):
            continue  # nic.port_state speaks of it; the rate of a link that is down says nothing
        rate = device.port.rate_gbps
        few = Unknown("the rates of most other rails are unknown, so there is nothing to compare with", ROOT)
        yield word_on(
            rate if 2 * len(rates) > len(devices) else few,
            lambda rate: rate >= max(rates),
            expected=f"{max(rates, default=0):g} {GIGABIT_S}, as the node's other rails",
            show=lambda rate: f"{rate:g} {GIGABIT_S}",
            device=device.name,
            gpus=gpus_of(device, facts, expected),
            fix=f"ethtool {_netdev(device)}   # reseat or change the cable; check the switch port's speed and FEC",
            why="all ranks wait for the slowest rail",
        )


def _up_rate(device: RdmaDevice) -> Reading[float]:
    return device.port.rate_gbps if device.port is not None else Unknown("no port")


def _source(port: RdmaPort) -> str:
    return port.state.source


def _netdev(device: RdmaDevice) -> str:
    return device.netdev.value if isinstance(device.netdev, Known) else device.name


def _layer(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    devices = fabric(facts, expected)
    layers = [
        device.port.link_layer.value
        for device in devices
        if device.port is not None and isinstance(device.port.link_layer, Known)
    ]
    common = Counter(layers).most_common(1)[0][0] if layers else "Ethernet"
    for device in devices:
        if device.port is not None:
            yield word_on(
                device.port.link_layer,
                lambda layer: layer == common,
                expected=f"{common}, as the node's other rails",
                device=device.name,
                gpus=gpus_of(device, facts, expected),
                fix=f"mlxconfig -d {device.bdf or device.name} query LINK_TYPE_P1",
                why="ports of different link layers cannot reach each other",
            )


def _gid(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for device in fabric(facts, expected):
        if device.port is None or not device.ethernet:
            continue
        gpus, table = gpus_of(device, facts, expected), device.port.gids
        promise = "a RoCE v2 GID that maps the rail's IPv4 address"
        best = device.best_gid
        if isinstance(table, Unknown) or _undecided(table.value, best):
            why = table.reason if isinstance(table, Unknown) else "the type of a GID that could serve cannot be read"
            yield Word(Verdict.UNKNOWN, "unknown", promise, device.name, gpus, (Evidence(table.source),), why=why)
            continue
        shown = "; ".join(_shown(gid) for gid in table.value) or "an empty GID table"
        good = isinstance(best, Known) and best.value.ipv4 is not None
        only_ipv6 = isinstance(best, Known) and not good
        yield Word(
            Verdict.PASS if good else Verdict.FAIL,
            f"index {best.value.index}" if isinstance(best, Known) and good else shown,
            promise,
            device.name,
            gpus,
            (Evidence(table.source, shown),),
            fix=""
            if good
            else f"ip addr show {_netdev(device)}; show_gids   # RoCE mode of the port; its IPv4 address",
            why="" if good else "engines would speak another RoCE version than their peers, and connections time out",
            severity=Severity.WARN if only_ipv6 else None,
        )


def _undecided(table: tuple[Gid, ...], best: Reading[Gid]) -> bool:
    """Whether an entry whose type is unknown could be the one that is missing."""
    return isinstance(best, Unknown) and any(isinstance(gid.type, Unknown) for gid in table)


def _table_unread(device: RdmaDevice) -> bool:
    """Whether it is not known which GID of it is the best, or whether it needs one."""
    if device.port is None or isinstance(device.port.link_layer, Unknown) or isinstance(device.port.gids, Unknown):
        return True
    return device.ethernet and any(isinstance(gid.type, Unknown) for gid in device.port.gids.value)


def _shown(gid: Gid) -> str:
    kind = gid.type.value if isinstance(gid.type, Known) else "unknown type"
    return f"{gid.index} {kind} {gid.ipv4 or gid.address}"


def _gid_index(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """One index for all rails: an engine is given one."""
    devices = fabric(facts, expected)
    best = {device.name: device.best_gid for device in devices if device.ethernet}
    known = {name: gid.value.index for name, gid in best.items() if isinstance(gid, Known)}
    unread = [device.name for device in devices if _table_unread(device)]
    common = Counter(known.values()).most_common(1)[0][0] if known else 0
    odd = {name: index for name, index in known.items() if index != common}
    if unread and not odd:
        why = f"the GID tables of {listed(unread)} cannot be read"
        yield Word(Verdict.UNKNOWN, "unknown", "one GID index on all rails", evidence=(Evidence(ROOT),), why=why)
    if len(known) < 2 or (unread and not odd):
        return
    yield Word(
        Verdict.FAIL if odd else Verdict.PASS,
        listed(f"{name}: {index}" for name, index in odd.items()) if odd else f"index {common} on {len(known)} rails",
        f"one GID index on all rails ({common})",
        evidence=(Evidence(f"{ROOT}/*/ports/1/gids", listed(f"{name}: {index}" for name, index in known.items())),),
        fix="ip addr show   # a second address or a macvlan shifts the table; remove it, or restart the RDMA driver"
        if odd
        else "",
        why="an engine gets one GID index for all its rails (MORI_IB_GID_INDEX, NCCL_IB_GID_INDEX)" if odd else "",
    )


def _agree(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    names = {device.name for device in fabric(facts, expected)}
    for odd in facts.nic.disagreements:
        if expected.rdma and (not odd.device or odd.device in names):
            yield Word(
                Verdict.FAIL,
                str(odd),
                "all sources say the same",
                odd.device,
                (),
                tuple(Evidence(source, value) for source, value in odd.said),
                fix="read both by hand; a driver that was updated without a reboot shows two states",
                why="one of them is wrong, and checks rest on the first",
            )


CHECKS = (
    Check("nic.present", "RDMA devices are there", Severity.BLOCK, (f"{ROOT}/*",), _present, essential=True),
    Check(
        "nic.port_state", "ports are up", Severity.BLOCK, (f"{ROOT}/*/ports/1/state", f"{ROOT}/*/ports/1/phys_state"),
        _state, essential=True,
    ),
    Check("nic.rate", "links run at full speed", Severity.BLOCK, (f"{ROOT}/*/ports/1/rate",), _rate, essential=True),
    Check("nic.link_layer", "one link layer", Severity.BLOCK, (f"{_PORT}/link_layer",), _layer, essential=True),
    Check("nic.gid", "RoCE v2 with IPv4", Severity.BLOCK, (f"{_PORT}/gid_attrs/types/*",), _gid, essential=True),
    Check("nic.gid_index", "one GID index on a node", Severity.WARN, (f"{ROOT}/*/ports/1/gids/*",), _gid_index),
    Check(
        "nic.sources_agree", "tools say what the kernel says", Severity.WARN,
        ("rdma.link", "rdma.dev", "ibv_devinfo", "ibstat", "show_gids", "ethtool.*"), _agree,
    ),
)  # fmt: skip
