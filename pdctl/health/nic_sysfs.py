"""RDMA devices from /sys/class/infiniband and /sys/class/net: what the kernel itself says of them.

`drivers/infiniband/core/sysfs.c` names the files. A port's state, rate and link layer are taken from here only: every
user can read them, and a tool that says otherwise is reported as a disagreement instead of being believed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Interface
from typing import Final, TypeVar

from pdctl.health.envelope import Envelope, File
from pdctl.health.nic_device import VENDORS, PcieLink, RdmaDevice, RdmaPort, Vendor
from pdctl.health.parse.fields import Field
from pdctl.health.parse.files import file_field
from pdctl.health.parse.ip_link import NetworkLink
from pdctl.health.parse.pci_address import pci_address
from pdctl.health.parse.rdma_words import (
    Gid,
    gid_address,
    gid_type,
    link_layer,
    link_rate,
    physical_state,
    port_state,
)
from pdctl.health.parse.text_values import integer_of
from pdctl.model.reading import Known, Reading, Unknown

ROOT: Final = "/sys/class/infiniband"
NET: Final = "/sys/class/net"
T = TypeVar("T")

_DEVICE: Final = re.compile(rf"{ROOT}/([^/]+)/.*")
_PORT: Final = re.compile(rf"{ROOT}/([^/]+)/ports/(\d{{1,3}})/([^/]+).*")
_GID: Final = re.compile(rf"{ROOT}/([^/]+)/ports/(\d{{1,3}})/gids/(\d{{1,5}})")
_SPEED: Final = re.compile(r"(\d{1,3}(?:\.\d+)?) GT/s(?: PCIe)?")


class Sysfs:
    """The RDMA part of one envelope's files, indexed once: an envelope holds thousands of counters."""

    def __init__(self, envelope: Envelope) -> None:
        self.files = envelope.files
        self.links = envelope.links
        self.ports: dict[str, dict[int, set[str]]] = {}
        self.gids: dict[tuple[str, int], list[int]] = {}
        names: set[str] = set()
        for path in (*envelope.files, *envelope.links):
            if not path.startswith(ROOT):
                continue
            if match := _DEVICE.fullmatch(path):
                names.add(match.group(1))
            if match := _PORT.fullmatch(path):
                self.ports.setdefault(match.group(1), {}).setdefault(int(match.group(2)), set()).add(match.group(3))
            if match := _GID.fullmatch(path):
                self.gids.setdefault((match.group(1), int(match.group(2))), []).append(int(match.group(3)))
        self.names = tuple(sorted(names))

    def netdevs(self, path: str) -> tuple[str, ...]:
        """Network devices of the PCI function at `path`."""
        below = f"{path}/net/"
        return tuple(
            sorted(
                link.removeprefix(f"{NET}/")
                for link, target in self.links.items()
                if link.startswith(f"{NET}/") and target.startswith(below)
            )
        )


def device(sysfs: Sysfs, name: str, addresses: Mapping[str, NetworkLink], active_mtu: Reading[int]) -> RdmaDevice:
    """One device. `addresses` are the node's network devices by name, for IPv4 and bonds."""
    here = f"{ROOT}/{name}"
    path = sysfs.links.get(f"{here}/device", "")
    bdf = pci_address(path.rsplit("/", 1)[-1]) or ""
    ports = tuple(_port(sysfs, name, number) for number in sorted(sysfs.ports.get(name, {})))
    netdev = _netdev(sysfs, name, path)
    link = addresses.get(netdev.value) if isinstance(netdev, Known) else None
    master = addresses.get(link.master) if link is not None and link.master else None
    guid = file_field(sysfs.files, f"{here}/node_guid").text()
    return RdmaDevice(
        name=name,
        vendor=_vendor(file_field(sysfs.files, f"{here}/device/vendor")),
        bdf=bdf,
        path=path,
        numa=_numa(file_field(sysfs.files, f"{here}/device/numa_node")),
        driver=_driver(sysfs.links, here),
        firmware=file_field(sysfs.files, f"{here}/fw_ver").text(),
        identity=guid.value if isinstance(guid, Known) else bdf,
        netdev=netdev,
        master=master.name if master is not None else "",
        ipv4=_ipv4(link, master),
        mtu_bytes=_mtu(sysfs.files, netdev),
        active_mtu_bytes=active_mtu,
        pcie=_pcie(sysfs.files, f"{here}/device"),
        ports=ports,
    )


def _port(sysfs: Sysfs, name: str, number: int) -> RdmaPort:
    here = f"{ROOT}/{name}/ports/{number}"

    def read(file: str, of: Callable[[object, str], Reading[T]]) -> Reading[T]:
        word = file_field(sysfs.files, f"{here}/{file}").text()
        return word if isinstance(word, Unknown) else of(word.value, word.source)

    return RdmaPort(
        number=number,
        state=read("state", port_state),
        physical=read("phys_state", physical_state),
        rate_gbps=read("rate", link_rate),
        link_layer=read("link_layer", link_layer),
        gids=_gids(sysfs, name, number, here),
    )


def _gids(sysfs: Sysfs, name: str, number: int, here: str) -> Reading[tuple[Gid, ...]]:
    """The table's entries. Empty ones are not collected; where none is, the port has none, if it was read at all. One
    that cannot be read makes the table unknown: it may be the one that matters.
    """
    if f"{here}/state" not in sysfs.files:
        return Unknown("its port was not read", f"{here}/gids")
    found = []
    for index in sorted(sysfs.gids.get((name, number), ())):
        text = file_field(sysfs.files, f"{here}/gids/{index}").text()
        if isinstance(text, Unknown):
            return text
        address = gid_address(text.value)
        if address is None:
            continue
        kind = file_field(sysfs.files, f"{here}/gid_attrs/types/{index}").text()
        netdev = file_field(sysfs.files, f"{here}/gid_attrs/ndevs/{index}").text()
        found.append(
            Gid(
                index=index,
                address=address,
                type=gid_type(kind.value, kind.source) if isinstance(kind, Known) else kind,
                netdev=netdev.value if isinstance(netdev, Known) else "",
            )
        )
    return Known(tuple(found), f"{here}/gids")


def _netdev(sysfs: Sysfs, name: str, path: str) -> Reading[str]:
    """The network device of the same PCI function; of several, the one that the GID table names most often."""
    source = f"{NET} (by PCI function)"
    found = sysfs.netdevs(path) if path else ()
    if len(found) == 1:
        return Known(found[0], source)
    named = [
        text.value
        for (device_name, port), indices in sysfs.gids.items()
        for index in indices
        if device_name == name
        and isinstance(
            text := file_field(sysfs.files, f"{ROOT}/{name}/ports/{port}/gid_attrs/ndevs/{index}").text(), Known
        )
    ]
    candidates = [each for each in named if each in found] if found else named
    if candidates:
        return Known(max(sorted(set(candidates)), key=candidates.count), f"{ROOT}/{name}/ports/*/gid_attrs/ndevs")
    if found:
        return Unknown(f"it has several: {', '.join(found)}", source)
    return Unknown("no network device belongs to its PCI function", source)


def _vendor(field: Field) -> Reading[Vendor]:
    word = field.text()
    number = word if isinstance(word, Unknown) else integer_of(word.value, word.source)
    return number if isinstance(number, Unknown) else Known(VENDORS.get(number.value, Vendor.OTHER), number.source)


def _numa(field: Field) -> Reading[int]:
    word = field.text()
    number = word if isinstance(word, Unknown) else integer_of(word.value, word.source)
    if isinstance(number, Known) and number.value < 0:
        return Unknown("the firmware does not tell its NUMA node", number.source)
    return number


def _driver(links: Mapping[str, str], here: str) -> Reading[str]:
    target = links.get(f"{here}/device/driver", "")
    source = f"{here}/device/driver"
    return Known(target.rsplit("/", 1)[-1], source) if target else Unknown(f"{source} does not exist", source)


def _ipv4(link: NetworkLink | None, master: NetworkLink | None) -> tuple[IPv4Interface, ...]:
    if link is None:
        return ()
    return link.ipv4 or (master.ipv4 if master is not None else ())


def _mtu(files: Mapping[str, File], netdev: Reading[str]) -> Reading[int]:
    return netdev if isinstance(netdev, Unknown) else file_field(files, f"{NET}/{netdev.value}/mtu").count()


def _pcie(files: Mapping[str, File], here: str) -> PcieLink:
    return PcieLink(
        speed_gts=_speed(file_field(files, f"{here}/current_link_speed")),
        width=file_field(files, f"{here}/current_link_width").count(),
        max_speed_gts=_speed(file_field(files, f"{here}/max_link_speed")),
        max_width=file_field(files, f"{here}/max_link_width").count(),
    )


def _speed(field: Field) -> Reading[float]:
    word = field.text()
    if isinstance(word, Unknown):
        return word
    match = _SPEED.fullmatch(word.value)
    return (
        Unknown(f"{word.value[:40]!r} is no link speed", word.source)
        if match is None
        else Known(float(match.group(1)), word.source)
    )
