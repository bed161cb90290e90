"""What the fabric plan needs to know, from a fleet's facts: rails with addresses and GIDs, who serves, ports in use."""

from __future__ import annotations

from collections.abc import Iterator

from pdctl.health.check import Fleet
from pdctl.health.expectations import Expectations
from pdctl.health.fabric import FabricNic, FabricSite
from pdctl.health.facts import NodeFacts, NotRead
from pdctl.health.nic_device import RdmaDevice
from pdctl.health.nic_facts import NicFacts
from pdctl.health.nic_rails import rails
from pdctl.health.nic_scope import fabric
from pdctl.model.reading import Known, Unknown, value_or


def fabric_site(fleet: Fleet) -> FabricSite:
    """The site of the nodes that were collected. A node of which nobody knows what serves counts as all serving."""
    nics, serving, listening = {}, {}, {}
    for name, facts in fleet.nodes.items():
        expected = fleet.expected[name]
        nics[name] = tuple(_nics(facts, expected))
        serving[name] = expected.serving_gpus if expected.serving_known else frozenset(range(expected.spec.gpus))
        listening[name] = _listening(facts)
    return FabricSite(nics, serving, listening)


def _nics(facts: NodeFacts, expected: Expectations) -> Iterator[FabricNic]:
    """The fabric's, without the management interface's and what the inventory leaves out, in the order of rails; by
    name where nothing tells that order, which then pairs the wrong ones but harms none."""
    try:
        known = facts.nic
    except NotRead:
        return
    devices = fabric(facts, expected)
    ordered = rails(devices, known.affinity)
    for rail, device in enumerate(ordered.value if isinstance(ordered, Known) else devices):
        yield _nic(facts.node, rail, device, known)


def _nic(node: str, rail: int, device: RdmaDevice, known: NicFacts) -> FabricNic:
    affinity = known.affinity.get(device.name, Unknown("not read"))
    gid = device.best_gid
    rate = device.port.rate_gbps if device.port is not None else Unknown("it has no port")
    return FabricNic(
        node=node,
        device=device.name,
        rail=rail,
        netdev=device.master or value_or(device.netdev, ""),
        address=str(device.ipv4[0].ip) if device.ipv4 else "",
        gid_index=gid.value.index if isinstance(gid, Known) else None,
        rate_gbps=rate.value if isinstance(rate, Known) else None,
        gpus=(affinity.value.gpu,) if isinstance(affinity, Known) else (),
    )


def _listening(facts: NodeFacts) -> frozenset[int]:
    try:
        return frozenset(each.port for each in value_or(facts.host.listeners, ()))
    except NotRead:
        return frozenset()
