"""Whether tools say the same of RDMA devices as the kernel does. What they say differently is kept, never resolved.

`rdma link`, `rdma dev`, `ibv_devinfo`, `ibstat`, `ethtool` and `show_gids` are compared with sysfs. A tool that was not
there, or could not be read, contradicts nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pdctl.health.envelope import Envelope
from pdctl.health.nic_device import Disagreement, RdmaDevice
from pdctl.health.outputs import output
from pdctl.health.parse.ethtool import LinkSettings, ethtool_link
from pdctl.health.parse.ibstat import IbDevice, ibstat
from pdctl.health.parse.ibv_devinfo import VerbsDevice, ibv_devinfo
from pdctl.health.parse.rdma_tool import RdmaDev, RdmaLink, rdma_devs, rdma_links
from pdctl.health.parse.rdma_words import Gid
from pdctl.health.parse.show_gids import show_gids
from pdctl.model.reading import Known, Reading, Unknown

_Named = TypeVar("_Named")


@dataclass(frozen=True, slots=True)
class ToolViews:
    """What each tool says, by device name (`ethtool` by network device), empty where it says nothing."""

    links: Mapping[str, RdmaLink]
    devs: Mapping[str, RdmaDev]
    verbs: Mapping[str, VerbsDevice]
    stat: Mapping[str, IbDevice]
    gids: Mapping[tuple[str, int], tuple[Gid, ...]]
    ethtool: Mapping[str, LinkSettings]

    @property
    def names(self) -> Mapping[str, frozenset[str]]:
        """The device names that each tool that could be read lists."""
        said = {
            "rdma link": frozenset(self.links),
            "rdma dev": frozenset(self.devs),
            "ibv_devinfo": frozenset(self.verbs),
            "ibstat": frozenset(self.stat),
        }
        return {tool: names for tool, names in said.items() if names}

    def active_mtu(self, device: str) -> Reading[int]:
        """The MTU that verbs use on its first port."""
        found = self.verbs.get(device)
        if found is None or not found.ports:
            return Unknown(f"ibv_devinfo does not show {device}", "ibv_devinfo")
        return found.ports[0].active_mtu


def tool_views(envelope: Envelope, netdevs: Iterable[str]) -> ToolViews:
    """What the tools of one envelope say."""

    def rows(
        item: str, parse: Callable[[str], Reading[tuple[_Named, ...]]], key: Callable[[_Named], str]
    ) -> dict[str, _Named]:
        text = output(envelope, item)
        read = parse(text.value) if isinstance(text, Known) else text
        return {key(row): row for row in read.value} if isinstance(read, Known) else {}

    gids = output(envelope, "show_gids")
    tables = show_gids(gids.value) if isinstance(gids, Known) else gids
    return ToolViews(
        links=rows("rdma.link", rdma_links, lambda row: row.device),
        devs=rows("rdma.dev", rdma_devs, lambda row: row.device),
        verbs=rows("ibv_devinfo", ibv_devinfo, lambda row: row.name),
        stat=rows("ibstat", ibstat, lambda row: row.name),
        gids=tables.value if isinstance(tables, Known) else {},
        ethtool=dict(_ethtool(envelope, netdevs)),
    )


def disagreements(devices: Iterable[RdmaDevice], views: ToolViews) -> Iterator[Disagreement]:
    """Every place where a tool contradicts sysfs, in order of the devices."""
    devices = tuple(devices)
    names = frozenset(device.name for device in devices)
    for tool, listed in views.names.items():
        if listed != names and names:
            odd = ", ".join(sorted(listed ^ names))
            yield Disagreement(
                "", f"which devices there are ({odd})", (("sysfs", str(len(names))), (tool, str(len(listed))))
            )
    for device in devices:
        yield from _device(device, views)


def _device(device: RdmaDevice, views: ToolViews) -> Iterator[Disagreement]:
    said = _said(device, views)
    port = device.port
    own: dict[str, Reading[str] | Reading[float]] = {"firmware": device.firmware, "network device": device.netdev}
    if port is not None:
        own |= {"port state": port.state, "physical state": port.physical, "link layer": port.link_layer}
        own["rate in Gb/s"] = port.rate_gbps
    for what, reading in own.items():
        if isinstance(reading, Known):
            same = (reading.value, device.master) if what == "network device" else (reading.value,)  # a bond's name too
            others = [each for each in said.get(what, ()) if isinstance(each, Known) and each.value not in same]
            if others:
                shown = tuple((each.source, str(each.value)) for each in (reading, *others))
                yield Disagreement(device.name, what, shown)
    yield from _gids(device, views)


def _said(device: RdmaDevice, views: ToolViews) -> dict[str, list[Reading[str] | Reading[float]]]:
    """What the tools say of one device and its first port, by what it is about."""
    said: dict[str, list[Reading[str] | Reading[float]]] = {}

    def add(what: str, reading: Reading[str] | Reading[float]) -> None:
        said.setdefault(what, []).append(reading)

    if (link := views.links.get(device.name)) is not None:
        add("network device", link.netdev)
        add("port state", link.state)
        add("physical state", link.physical)
    if (dev := views.devs.get(device.name)) is not None:
        add("firmware", dev.firmware)
    if (verbs := views.verbs.get(device.name)) is not None:
        add("firmware", verbs.firmware)
        for port in verbs.ports[:1]:
            add("port state", port.state)
            add("link layer", port.link_layer)
    if (stat := views.stat.get(device.name)) is not None:
        add("firmware", stat.firmware)
        for shown in stat.ports[:1]:
            add("port state", shown.state)
            add("physical state", shown.physical)
            add("link layer", shown.link_layer)
            add("rate in Gb/s", shown.rate)
    if isinstance(device.netdev, Known) and (settings := views.ethtool.get(device.netdev.value)) is not None:
        add("rate in Gb/s", settings.speed_gbps)
    return said


def _gids(device: RdmaDevice, views: ToolViews) -> Iterator[Disagreement]:
    if device.port is None or isinstance(device.port.gids, Unknown):
        return
    shown = views.gids.get((device.name, device.port.number))
    if shown is None:
        return
    own = {gid.index: (str(gid.address), gid.type) for gid in device.port.gids.value}
    for gid in shown:
        said = own.get(gid.index)
        kinds = [kind.value for kind in (gid.type, said[1] if said else None) if isinstance(kind, Known)]
        if said is None or said[0] != str(gid.address) or len(set(kinds)) > 1:
            here = "empty" if said is None else f"{said[0]} {kinds[-1] if kinds else ''}".strip()
            there = f"{gid.address} {kinds[0] if kinds else ''}".strip()
            yield Disagreement(device.name, f"GID {gid.index}", (("sysfs", here), ("show_gids", there)))
            return


def _ethtool(envelope: Envelope, netdevs: Iterable[str]) -> Iterator[tuple[str, LinkSettings]]:
    for netdev in netdevs:
        text = output(envelope, f"ethtool.{netdev}")
        read = ethtool_link(text.value) if isinstance(text, Known) else text
        if isinstance(read, Known):
            yield netdev, read.value
