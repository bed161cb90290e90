"""What a node's engines must be told of its fabric, from facts: rails in order, GID index, interface, traffic class.

Nothing is guessed: what is unknown, or not the same on all rails, is left out, and said in `doubts`. An inventory value
wins over it; where the two say different things, `nic.launch_env` is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pdctl.health.check import Check, Word
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts, NotRead
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.nic_device import RdmaDevice
from pdctl.health.nic_facts import NicFacts
from pdctl.health.nic_rails import rails
from pdctl.health.nic_scope import MORI_DEVICES, NCCL_HCA, UCX_DEVICES, devices_in, fabric_of, listed
from pdctl.health.parse.qos import PortQos
from pdctl.model.launch import FabricFacts, Rail
from pdctl.model.reading import Known, Reading, Unknown

T = TypeVar("T")

GID_VARIABLES = ("MORI_IB_GID_INDEX", "NCCL_IB_GID_INDEX", "UCX_IB_GID_INDEX")
INTERFACE_VARIABLES = ("MORI_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME")


@dataclass(frozen=True, slots=True)
class LaunchFacts:
    """What is told, and why something is not. `doubts` by what it is about ("rails", "gid_index", …)."""

    fabric: FabricFacts
    doubts: Mapping[str, str]


def launch_facts(nic: NicFacts, *, data_address: str, nics: int, named: tuple[str, ...] = ()) -> LaunchFacts:
    """What engines on a node are told.

    Args:
        data_address: what they bind and advertise; its network device carries Gloo's and NCCL's bootstrap.
        nics: how many the inventory says that there are; 0: it does not say.
        named: the RDMA devices that the inventory names, if it does: the others are not for engines.
    """
    doubts: dict[str, str] = {}

    def told(what: str, reading: Reading[T]) -> T | None:
        if isinstance(reading, Known):
            return reading.value
        doubts[what] = reading.reason
        return None

    devices = fabric_of(nic, named, nics)
    order = told("rails", _order(nic, devices))
    interface = told("socket_interface", nic.device_of_address(data_address))
    return LaunchFacts(
        FabricFacts(
            rails=tuple(Rail(device.name, _gpu(nic, device)) for device in order or ()),
            gid_index=told("gid_index", gid_index(devices)) if devices else None,
            socket_interface=interface or "",
            traffic_class=told("traffic_class", _dscp_class(nic, devices)) if devices else None,
            service_level=told("service_level", _agreed(nic, devices, PortQos.main_priority)) if devices else None,
        ),
        doubts,
    )


def of_node(facts: NodeFacts, expected: Expectations) -> LaunchFacts | None:
    """`launch_facts` of a node that was checked; None where its NICs are not known at all, or no RDMA is used."""
    if not expected.rdma:
        return None
    try:
        nic = facts.nic
    except NotRead:
        return None
    return launch_facts(nic, data_address=expected.spec.data_address, nics=expected.spec.nics, named=_named(expected))


def gid_index(devices: Sequence[RdmaDevice]) -> Reading[int]:
    """The index that all of them have their best GID at. InfiniBand ports have none to choose."""
    source = "GID tables"
    layers = [device.port.link_layer for device in devices if device.port is not None]
    if any(isinstance(layer, Known) and layer.value == "InfiniBand" for layer in layers):
        return Unknown("the ports are InfiniBand", source)
    found: dict[str, int] = {}
    for device in devices:
        best = device.best_gid
        if isinstance(best, Unknown):
            return Unknown(f"{device.name}: {best.reason}", source)
        found[device.name] = best.value.index
    if len(set(found.values())) != 1:
        return Unknown(f"rails differ: {listed(f'{name}: {index}' for name, index in found.items())}", source)
    return Known(next(iter(found.values())), source)


def _named(expected: Expectations) -> tuple[str, ...]:
    """What the inventory names for the whole node. A slot's own list is for that slot alone."""
    return devices_in(expected.env)


def _order(nic: NicFacts, devices: tuple[RdmaDevice, ...]) -> Reading[tuple[RdmaDevice, ...]]:
    if not devices:
        return nic.devices if isinstance(nic.devices, Unknown) else Unknown("the node has no RDMA device")
    return rails(devices, nic.affinity)


def _gpu(nic: NicFacts, device: RdmaDevice) -> int | None:
    near = nic.affinity.get(device.name)
    return near.value.gpu if isinstance(near, Known) else None


def _dscp_class(nic: NicFacts, devices: Sequence[RdmaDevice]) -> Reading[int]:
    """The IP traffic class: the DSCP stands in its upper six bits."""
    dscp = _agreed(nic, devices, PortQos.main_dscp)
    return dscp if isinstance(dscp, Unknown) else Known(dscp.value << 2, dscp.source)


def _agreed(nic: NicFacts, devices: Sequence[RdmaDevice], of: Callable[[PortQos], Reading[int]]) -> Reading[int]:
    values: dict[str, int] = {}
    source = ""
    for device in devices:
        qos = nic.qos[device.name].qos
        value = qos if isinstance(qos, Unknown) else of(qos.value)
        if isinstance(value, Unknown):
            return Unknown(f"{device.name}: {value.reason}", value.source)
        values[device.name], source = value.value, value.source
    if len(set(values.values())) != 1:
        return Unknown(f"rails differ: {listed(f'{name}: {value}' for name, value in values.items())}", source)
    return Known(next(iter(values.values())), source)


def _env(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """The inventory's values against the facts. What it does not set is taken from them and cannot differ."""
    told = of_node(facts, expected)
    if told is None:
        return
    fabric = told.fabric
    for slot in expected.slots:
        if slot.judged:
            wanted = ",".join(fabric.devices(slot.gpus))
            words = [
                *(_order_word(name, slot.env, fabric) for name in (MORI_DEVICES, NCCL_HCA, UCX_DEVICES) if wanted),
                *(_value_word(name, slot.env, fabric.gid_index) for name in GID_VARIABLES),
                *(_value_word(name, slot.env, fabric.socket_interface or None) for name in INTERFACE_VARIABLES),
            ]
            for word in words:
                if word is not None:
                    yield word


def _order_word(name: str, env: Mapping[str, str], fabric: FabricFacts) -> Word | None:
    """The devices that a variable names, against the order of the rails; a subset in that order is right."""
    order = [rail.device for rail in fabric.rails]
    named = tuple(device for device in devices_in({name: env.get(name, "")}) if device in order)
    if not named:
        return None  # of devices that are not there `nic.present` speaks
    right = tuple(device for device in order if device in named)
    return _word(
        name, env[name], named == right, f"{', '.join(right) or 'devices of the node'}: the order of its rails"
    )


def _value_word(name: str, env: Mapping[str, str], found: int | str | None) -> Word | None:
    if name not in env or found is None:
        return None
    return _word(name, env[name], env[name].strip() == str(found), f"{found}, as found on the node")


def _word(name: str, value: str, good: bool, expected: str) -> Word:
    return Word(
        Verdict.PASS if good else Verdict.FAIL,
        f"{name}={value}",
        expected,
        evidence=(Evidence("inventory env", f"{name}={value}"), Evidence("/sys/class/infiniband", expected)),
        fix="" if good else f"take {name} out of the inventory's env: what is found on each node is then used",
        why="" if good else "the inventory's value wins, and this node is not as it says",
    )


def _drift(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Engines that run with what the node said of its fabric at their start, where it says something else now."""
    told = of_node(facts, expected) if expected.told else None
    if told is None:
        return
    promise = "started with what the node says of its fabric now"
    digest = told.fabric.digest
    evidence = (Evidence("unit label facts", listed(f"{name}: {was}" for name, was in expected.told.items())),)
    old = [name for name, was in expected.told.items() if was != digest]
    if old and told.doubts:
        why = "not all of it can be read now: " + "; ".join(told.doubts.values())
        yield Word(Verdict.UNKNOWN, "unknown", promise, evidence=evidence, why=why)
        return
    yield Word(
        Verdict.FAIL if old else Verdict.PASS,
        f"{listed(old)} with others" if old else f"{len(expected.told)} engines with the same",
        promise,
        evidence=evidence,
        fix="pdctl restart, one after the other" if old else "",
        why="RDMA devices, GID indices or interfaces changed under them" if old else "",
    )


CHECKS = (
    Check("nic.launch_drift", "running engines know the fabric as it is", Severity.WARN, ("unit labels",), _drift),
    Check(
        "nic.launch_env",
        "the inventory's fabric settings fit the node",
        Severity.WARN,
        ("inventory env", "/sys/class/infiniband/*", "ip.addr"),
        _env,
    ),
)
