"""Which GPU a NIC is near to, and in which order NICs are rails. Pure geometry of sysfs paths and IPv4 networks.

The kernel's names say nothing: they are scrambled between nodes and move with a reboot. What both ends of a transfer
have in common is the network: where every NIC has an IPv4 network of its own, rail k is the k-th of them. Otherwise
rails follow the GPUs: rail k is the NIC behind the PCIe switch of GPU k.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pdctl.health.nic_device import RdmaDevice
from pdctl.model.reading import Known, Reading, Unknown


@dataclass(frozen=True, slots=True)
class Affinity:
    """A NIC's GPU. `gpu` is its index, counted by PCI address as amd-smi does. `shared_switch`: both are below one root
    port; else they are on one NUMA node, and the pairing is by order of PCI addresses."""

    gpu: int
    gpu_bdf: str
    shared_switch: bool


def affinities(
    devices: Iterable[RdmaDevice], gpus: Mapping[str, str], numa: Mapping[str, Reading[int]]
) -> dict[str, Reading[Affinity]]:
    """Each device's GPU, every GPU given once, nearest pairs first.

    Args:
        gpus: GPUs' sysfs paths by PCI address.
        numa: their NUMA nodes, for NICs that share no switch with any of them.
    """
    devices = tuple(devices)
    ordered = sorted(gpus)
    pairs = sorted(
        (-_shared(device.path, gpus[bdf]), index, device.bdf, device.name)
        for device in devices
        for index, bdf in enumerate(ordered)
        if device.path
    )
    found: dict[str, Reading[Affinity]] = {}
    taken: set[int] = set()
    for nearness, index, _, name in pairs:
        if name not in found and index not in taken and -nearness > 1:
            found[name] = Known(Affinity(index, ordered[index], True), "PCI paths of sysfs")
            taken.add(index)
    for device in sorted(devices, key=lambda device: device.bdf):
        if device.name in found or not isinstance(device.numa, Known):
            continue
        beside = [
            index for index, bdf in enumerate(ordered) if index not in taken and _same(numa.get(bdf), device.numa.value)
        ]
        if beside:
            found[device.name] = Known(Affinity(beside[0], ordered[beside[0]], False), "NUMA nodes of sysfs")
            taken.add(beside[0])
    for device in devices:
        if device.name not in found:
            found[device.name] = _why(device, ordered)
    return found


def rails(devices: Sequence[RdmaDevice], affinity: Mapping[str, Reading[Affinity]]) -> Reading[tuple[RdmaDevice, ...]]:
    """The devices in the order of their rails; unknown where neither networks nor PCI paths tell one."""
    by_network = rails_by_network(devices)
    return by_network if isinstance(by_network, Known) else rails_by_gpu(devices, affinity)


def rails_by_network(devices: Sequence[RdmaDevice]) -> Reading[tuple[RdmaDevice, ...]]:
    """In the order of their IPv4 networks, where each has one of its own."""
    source = "IPv4 networks"
    without = [device.name for device in devices if not device.ipv4]
    if without:
        return Unknown(f"{', '.join(without)} have no IPv4 address", source)
    networks = {device.name: device.ipv4[0].network for device in devices}
    if len(set(networks.values())) < len(networks):
        return Unknown("several of them share one IPv4 network", source)
    return Known(tuple(sorted(devices, key=lambda device: networks[device.name])), source)


def rails_by_gpu(
    devices: Sequence[RdmaDevice], affinity: Mapping[str, Reading[Affinity]]
) -> Reading[tuple[RdmaDevice, ...]]:
    """In the order of the GPUs that they are nearest to."""
    places: dict[str, int] = {}
    for device in devices:
        place = affinity.get(device.name, Unknown("its GPU is not known"))
        if isinstance(place, Unknown):
            return Unknown(f"{device.name}: {place.reason}", "PCI paths of sysfs")
        places[device.name] = place.value.gpu
    return Known(tuple(sorted(devices, key=lambda device: places[device.name])), "PCI paths of sysfs")


def _shared(one: str, other: str) -> int:
    """How many leading PCI parts two paths share: 1 is the root complex alone, more is a root port or switch."""
    count = 0
    for left, right in zip(one.split("/"), other.split("/"), strict=False):
        if left != right:
            break
        count += 1
    return max(0, count - len(["", "sys", "devices"]))


def _same(numa: Reading[int] | None, node: int) -> bool:
    return isinstance(numa, Known) and numa.value == node


def _why(device: RdmaDevice, gpus: Sequence[str]) -> Unknown:
    if not device.path:
        return Unknown("sysfs does not tell where it sits", "PCI paths of sysfs")
    return Unknown(
        "no GPU shares a PCIe switch or NUMA node with it" if gpus else "no GPU was found", "PCI paths of sysfs"
    )
