"""RDMA devices of a node as records: what sysfs says of each, and what belongs to it. Nothing is judged."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Interface

from pdctl.health.parse.rdma_words import Gid, GidType
from pdctl.model.reading import Known, Reading, Unknown


class Vendor(StrEnum):
    """Who made the adapter, by its PCI vendor id."""

    NVIDIA = "nvidia"
    BROADCOM = "broadcom"
    AMD = "amd"
    OTHER = "other"


VENDORS = {0x15B3: Vendor.NVIDIA, 0x14E4: Vendor.BROADCOM, 0x1DD8: Vendor.AMD}
"""Mellanox, Broadcom, Pensando (AMD Pollara)."""


@dataclass(frozen=True, slots=True)
class RdmaPort:
    """One port. `rate_gbps` is the link's; `gids` are the entries of its table that are in use."""

    number: int
    state: Reading[str]
    physical: Reading[str]
    rate_gbps: Reading[float]
    link_layer: Reading[str]
    gids: Reading[tuple[Gid, ...]]


@dataclass(frozen=True, slots=True)
class PcieLink:
    """A device's PCIe link as it is, and as it could be. Speeds in GT/s."""

    speed_gts: Reading[float]
    width: Reading[int]
    max_speed_gts: Reading[float]
    max_width: Reading[int]


@dataclass(frozen=True, slots=True)
class RdmaDevice:
    """One RDMA device with its network device.

    `bdf` and `path` (below /sys/devices, which shows its PCIe switches) are "" where sysfs does not tell. `ipv4` are
    the addresses of its network device, or of the bond that it is a port of (`master`). `identity` stays with the
    hardware: its node GUID, else its PCI address.
    """

    name: str
    vendor: Reading[Vendor]
    bdf: str
    path: str
    numa: Reading[int]
    driver: Reading[str]
    firmware: Reading[str]
    identity: str
    netdev: Reading[str]
    master: str
    ipv4: tuple[IPv4Interface, ...]
    mtu_bytes: Reading[int]
    active_mtu_bytes: Reading[int]
    pcie: PcieLink
    ports: tuple[RdmaPort, ...]

    @property
    def port(self) -> RdmaPort | None:
        """The port that KV moves over: the first."""
        return self.ports[0] if self.ports else None

    @property
    def ethernet(self) -> bool:
        """Whether its port is known to be Ethernet. Where that is unknown, `nic.link_layer` says so, and blocks."""
        layer = self.port.link_layer if self.port is not None else None
        return isinstance(layer, Known) and layer.value == "Ethernet"

    @property
    def best_gid(self) -> Reading[Gid]:
        """The GID to use on Ethernet: RoCE v2, mapping the network device's own IPv4 address if one does.

        Among equals the lowest index. Unknown where the table is, or where no entry speaks RoCE v2.
        """
        if self.port is None:
            return Unknown("it has no port", self.name)
        if isinstance(self.port.gids, Unknown):
            return self.port.gids
        usable = [gid for gid in self.port.gids.value if gid.type == Known(GidType.ROCE_V2, _source(gid))]
        if not usable:
            return Unknown("no GID of its table is RoCE v2", self.port.gids.source)
        own = {address.ip for address in self.ipv4}
        return Known(
            min(usable, key=lambda gid: (gid.ipv4 not in own, gid.ipv4 is None, _local(gid), gid.index)), "gids"
        )


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two sources that speak of the same thing and do not say the same. `said`: (source, value) of each."""

    device: str
    what: str
    said: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{self.what}: " + ", ".join(f"{value} ({source})" for source, value in self.said)


def _source(gid: Gid) -> str:
    return gid.type.source


def _local(gid: Gid) -> bool:
    return gid.address.is_link_local
