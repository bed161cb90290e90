"""KFD's topology in sysfs: the GPUs (and partitions of GPUs) that the compute driver offers, and how they are linked.

A node with SIMDs is a GPU. `location_id` is bus << 8 | device << 3 | function; in partition modes the kernel puts the
partition's number where the function is (amdkfd kfd_topology.c). Link types: 2 PCIe, 11 XGMI (kfd_crat.h).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pdctl.health.envelope import File
from pdctl.health.parse.fields import Field
from pdctl.health.parse.files import file_field, pairs
from pdctl.health.parse.pci_address import first_function, from_location
from pdctl.model.reading import Known, Reading, Unknown

NODES: Final = "/sys/class/kfd/kfd/topology/nodes"
_NODE = re.compile(re.escape(NODES) + r"/(\d+)/properties\Z")
_LINK = re.compile(re.escape(NODES) + r"/(\d+)/io_links/(\d+)/properties\Z")
_LINK_TYPES = {2: "PCIE", 11: "XGMI"}


@dataclass(frozen=True, slots=True)
class KfdGpu:
    """One GPU, or one partition of a GPU, in KFD's order, which is the order of HIP's device numbers."""

    node: int
    gpu_id: Reading[int]
    address: Reading[str]  # of the device: function 0
    partition: int
    unique_id: Reading[str]


@dataclass(frozen=True, slots=True)
class KfdTopology:
    """`gpus` is unknown as a whole where one node cannot be read: it may be a GPU. `links`: types by pair of nodes."""

    gpus: Reading[tuple[KfdGpu, ...]]
    links: Mapping[tuple[int, int], str]


def parse_kfd_topology(files: Mapping[str, File]) -> KfdTopology:
    """From the `properties` files below `NODES`."""
    files = {path: file for path, file in files.items() if path.startswith(NODES)}
    nodes = sorted(int(match[1]) for path in files if (match := _NODE.match(path)))
    if not nodes:
        return KfdTopology(Unknown(f"{NODES} has no nodes: the driver is not there, or not set up", NODES), {})
    gpus: list[KfdGpu] = []
    unclear: Unknown | None = None
    for node in nodes:
        about = pairs(file_field(files, f"{NODES}/{node}/properties"))
        simds = about["simd_count"].count()
        if isinstance(simds, Unknown):
            unclear = unclear or simds
        elif simds.value > 0:
            gpus.append(_gpu(files, node, about))
    return KfdTopology(unclear or Known(tuple(gpus), NODES), _links(files))


def _gpu(files: Mapping[str, File], node: int, about: Field) -> KfdGpu:
    location, domain = about["location_id"].count(), _domain(about["domain"])
    unique = about["unique_id"].count()
    if isinstance(location, Unknown) or isinstance(domain, Unknown):
        address: Reading[str] = location if isinstance(location, Unknown) else about["domain"].unknown()
        partition = 0
    else:
        own = from_location(domain.value, location.value)
        address, partition = Known(first_function(own), location.source), int(own[-1])
    return KfdGpu(
        node=node,
        gpu_id=file_field(files, f"{NODES}/{node}/gpu_id").count(),
        address=address,
        partition=partition,
        unique_id=unique if isinstance(unique, Unknown) else Known(f"{unique.value:016x}", unique.source),
    )


def _domain(field: Field) -> Reading[int]:
    """The PCI domain; kernels before 5.3 do not show it, and know but one."""
    return Known(0, field.source) if field.missing else field.count()


def _links(files: Mapping[str, File]) -> Mapping[tuple[int, int], str]:
    found = {}
    for path in files:
        if _LINK.match(path):
            about = pairs(file_field(files, path))
            kind, start, end = (about[name].count() for name in ("type", "node_from", "node_to"))
            if isinstance(kind, Known) and isinstance(start, Known) and isinstance(end, Known):
                found[start.value, end.value] = _LINK_TYPES.get(kind.value, f"type {kind.value}")
    return found
