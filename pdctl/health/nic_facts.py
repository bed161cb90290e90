"""What is known of a node's fabric adapters: devices, how they belong together, what tools say of them, counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, TypeVar

from pdctl.health.counters import Counted
from pdctl.health.envelope import Envelope
from pdctl.health.nic_counters import counted
from pdctl.health.nic_crosscheck import ToolViews, disagreements, tool_views
from pdctl.health.nic_device import Disagreement, RdmaDevice
from pdctl.health.nic_firmware import NicVersions, nic_versions
from pdctl.health.nic_qos_facts import DeviceQos, device_qos
from pdctl.health.nic_rails import Affinity, affinities
from pdctl.health.nic_sysfs import ROOT, Sysfs, device
from pdctl.health.outputs import output
from pdctl.health.parse.files import file_field
from pdctl.health.parse.ip_link import NetworkLink, ip_links
from pdctl.health.parse.ip_route import Route, Rule, default_device, ip_routes, ip_rules
from pdctl.model.reading import Known, Reading, Unknown

T = TypeVar("T")

GPU_LINKS: Final = "/sys/bus/pci/drivers/amdgpu/"


@dataclass(frozen=True, slots=True)
class NicFacts:
    """One node's adapters, by device name in the kernel's order of names, which is no order of rails.

    `devices` is unknown where sysfs could not be listed. `addresses` are all network devices by name. `affinity` is
    each device's nearest GPU, of `gpus` in all. `management`: the network device of the default route. `userspace`: the
    devices that libibverbs shows.
    """

    devices: Reading[tuple[RdmaDevice, ...]]
    addresses: Reading[Mapping[str, NetworkLink]]
    routes: Reading[tuple[Route, ...]]
    rules: Reading[tuple[Rule, ...]]
    management: Reading[str]
    affinity: Mapping[str, Reading[Affinity]]
    gpus: int
    qos: Mapping[str, DeviceQos]
    versions: NicVersions
    userspace: Reading[frozenset[str]]
    disagreements: tuple[Disagreement, ...]
    counters: tuple[Counted, ...]

    def of(self, name: str) -> RdmaDevice | None:
        """The device of that name."""
        known = self.devices.value if isinstance(self.devices, Known) else ()
        return next((each for each in known if each.name == name), None)

    def device_of_address(self, address: str) -> Reading[str]:
        """The network device that carries an IPv4 address."""
        if isinstance(self.addresses, Unknown):
            return self.addresses
        try:
            wanted = IPv4Address(address)
        except ValueError:
            return Unknown(f"{address} is no IPv4 address", self.addresses.source)
        for link in self.addresses.value.values():
            if any(each.ip == wanted for each in link.ipv4):
                return Known(link.name, self.addresses.source)
        return Unknown(f"no network device has {address}", self.addresses.source)


def nic_facts(envelope: Envelope) -> NicFacts:
    """What one envelope tells of the adapters. Never raises for what a node may have sent."""
    sysfs = Sysfs(envelope)
    links = _read(envelope, "ip.addr", ip_links)
    addresses: Reading[Mapping[str, NetworkLink]] = (
        Known({link.name: link for link in links.value}, links.source) if isinstance(links, Known) else links
    )
    by_name = addresses.value if isinstance(addresses, Known) else {}
    netdevs = [link.rsplit("/", 1)[-1] for link in envelope.links if link.startswith("/sys/class/net/")]
    views = tool_views(envelope, netdevs)
    found = tuple(device(sysfs, name, by_name, views.active_mtu(name)) for name in sysfs.names)
    routes = _read(envelope, "ip.route", ip_routes)
    gpus = {
        link.removeprefix(GPU_LINKS): target for link, target in envelope.links.items() if link.startswith(GPU_LINKS)
    }
    return NicFacts(
        devices=_devices(envelope, found),
        addresses=addresses,
        routes=routes,
        rules=_read(envelope, "ip.rule", ip_rules),
        management=_management(routes),
        affinity=affinities(found, gpus, {bdf: _numa(envelope, bdf) for bdf in gpus}),
        gpus=len(gpus),
        qos=device_qos(envelope, found),
        versions=nic_versions(envelope, found),
        userspace=_userspace(envelope, views),
        disagreements=tuple(disagreements(found, views)),
        counters=counted(envelope, found),
    )


def _numa(envelope: Envelope, gpu: str) -> Reading[int]:
    return file_field(envelope.files, f"{GPU_LINKS}{gpu}/numa_node").count()


def _devices(envelope: Envelope, found: tuple[RdmaDevice, ...]) -> Reading[tuple[RdmaDevice, ...]]:
    left_out = [what for what in envelope.missing if ROOT in what or "reader" in what]
    if left_out:
        return Unknown(f"not all of it was read: {left_out[0]}", ROOT)
    if found:
        return Known(found, ROOT)
    if not envelope.files:
        return Unknown("no file of the node was read", ROOT)
    return Known((), ROOT)


def _userspace(envelope: Envelope, views: ToolViews) -> Reading[frozenset[str]]:
    """None where it says so; unknown where `ibv_devinfo` could not be read."""
    item = envelope.items.get("ibv_devinfo")
    if views.verbs:
        return Known(frozenset(views.verbs), "ibv_devinfo")
    if item is not None and "No IB devices found" in f"{item.stdout}{item.stderr}":
        return Known(frozenset(), "ibv_devinfo")
    text = output(envelope, "ibv_devinfo")
    return text if isinstance(text, Unknown) else Unknown("it shows no device and does not say so", "ibv_devinfo")


def _management(routes: Reading[tuple[Route, ...]]) -> Reading[str]:
    if isinstance(routes, Unknown):
        return routes
    name = default_device(routes.value)
    return Known(name, routes.source) if name else Unknown("there is no default route", routes.source)


def _read(envelope: Envelope, item: str, parse: Callable[[str], Reading[T]]) -> Reading[T]:
    text = output(envelope, item)
    return parse(text.value) if isinstance(text, Known) else text
