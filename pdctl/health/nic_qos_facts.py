"""QoS and congestion control of a node's RDMA devices, from each vendor's own tool and from sysfs and configfs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pdctl.health.envelope import Envelope
from pdctl.health.nic_device import RdmaDevice, Vendor
from pdctl.health.nic_sysfs import NET
from pdctl.health.outputs import absent, items_of, output
from pdctl.health.parse.files import file_field
from pdctl.health.parse.mlnx_qos import mlnx_qos
from pdctl.health.parse.niccli import niccli_devices, niccli_option, niccli_qos
from pdctl.health.parse.nicctl_text import Dcqcn, nicctl_dcqcn, nicctl_qos
from pdctl.health.parse.pci_address import pci_address
from pdctl.health.parse.qos import PortQos
from pdctl.model.reading import Known, Reading, Unknown

CONFIGFS: Final = "/sys/kernel/config/bnxt_re"
_ENABLE: Final = re.compile(rf"{NET}/([^/]+)/ecn/roce_(np|rp)/enable/([0-7])")


@dataclass(frozen=True, slots=True)
class DeviceQos:
    """One device's. `applies` False: its vendor's tool is not on the node, so there is nothing to hold against it.

    `dcqcn`: congestion control is on. `cnp_dscp`: how congestion notifications are marked. `relaxed_ordering` as the
    adapter's NVM has it (Broadcom).
    """

    applies: bool
    qos: Reading[PortQos]
    dcqcn: Reading[bool]
    cnp_dscp: Reading[int]
    relaxed_ordering: Reading[str]


def device_qos(envelope: Envelope, devices: Iterable[RdmaDevice]) -> Mapping[str, DeviceQos]:
    """QoS by device name."""
    reader = {Vendor.NVIDIA: _nvidia, Vendor.BROADCOM: _broadcom, Vendor.AMD: _amd}
    found = {}
    for device in devices:
        read = reader.get(device.vendor.value) if isinstance(device.vendor, Known) else None
        found[device.name] = _NOTHING if read is None else read(envelope, device)
    return found


_NOT_TOLD: Final = Unknown("nothing on the node tells it")
_NOTHING: Final = DeviceQos(False, _NOT_TOLD, _NOT_TOLD, _NOT_TOLD, _NOT_TOLD)


def _nvidia(envelope: Envelope, device: RdmaDevice) -> DeviceQos:
    if isinstance(device.netdev, Unknown):
        return replace(_NOTHING, qos=device.netdev)
    item = f"mlnx_qos.{device.netdev.value}"
    text = output(envelope, item)
    qos = mlnx_qos(text.value, device.netdev.value) if isinstance(text, Known) else text
    return DeviceQos(
        not absent(envelope, item), qos, _mlx5_dcqcn(envelope, device.netdev.value, qos), _NOT_TOLD, _NOT_TOLD
    )


def _mlx5_dcqcn(envelope: Envelope, netdev: str, qos: Reading[PortQos]) -> Reading[bool]:
    """Whether both ends of DCQCN are enabled on the priority that RDMA uses (mlx5's `ecn/roce_np|rp/enable`)."""
    if isinstance(qos, Unknown):
        return qos
    priority = qos.value.main_priority()
    if isinstance(priority, Unknown):
        return priority
    ends = [
        file_field(envelope.files, f"{NET}/{netdev}/ecn/roce_{end}/enable/{priority.value}").count()
        for end in ("np", "rp")
    ]
    bad = next((end for end in ends if isinstance(end, Unknown)), None)
    if bad is not None:
        return bad
    return Known(all(isinstance(end, Known) and end.value == 1 for end in ends), f"{NET}/{netdev}/ecn")


def _broadcom(envelope: Envelope, device: RdmaDevice) -> DeviceQos:
    number = _niccli_number(envelope, device)
    item = next((item for item, about in items_of(envelope, "niccli.qos") if pci_address(about) == device.bdf), "")
    item = item or (f"niccli.qos.{number}" if f"niccli.qos.{number}" in envelope.items else "niccli.qos")
    text = output(envelope, item)
    qos = niccli_qos(text.value, device.bdf) if isinstance(text, Known) else text
    relaxed = next(
        (item for item, about in items_of(envelope, "niccli.relaxed") if pci_address(about) == device.bdf), ""
    )
    said = output(envelope, relaxed) if relaxed else _NOT_TOLD
    return DeviceQos(
        applies=not absent(envelope, item),
        qos=qos,
        dcqcn=_configfs_number(envelope, device.name, "cc_mode", {"1": True, "0": False}),
        cnp_dscp=_configfs_count(envelope, device.name, "cnp_dscp"),
        relaxed_ordering=niccli_option(said.value, "pcie_relaxed_ordering") if isinstance(said, Known) else said,
    )


def _niccli_number(envelope: Envelope, device: RdmaDevice) -> int | None:
    text = output(envelope, "niccli.list")
    rows = niccli_devices(text.value) if isinstance(text, Known) else text
    if isinstance(rows, Unknown):
        return None
    return next((row.number for row in rows.value if row.bdf == Known(device.bdf, "niccli --list_devices")), None)


def _configfs_count(envelope: Envelope, device: str, name: str) -> Reading[int]:
    return file_field(envelope.files, f"{CONFIGFS}/{device}/ports/1/cc/{name}").count()


def _configfs_number(envelope: Envelope, device: str, name: str, words: Mapping[str, bool]) -> Reading[bool]:
    read = file_field(envelope.files, f"{CONFIGFS}/{device}/ports/1/cc/{name}").text()
    if isinstance(read, Unknown):
        return read
    meaning = words.get(read.value)
    return Unknown(f"{name} is {read.value[:20]!r}", read.source) if meaning is None else Known(meaning, read.source)


def _amd(envelope: Envelope, device: RdmaDevice) -> DeviceQos:
    text, control = output(envelope, "nicctl.qos"), output(envelope, "nicctl.dcqcn")
    ports = nicctl_qos(text.value) if isinstance(text, Known) else text
    rows = nicctl_dcqcn(control.value) if isinstance(control, Known) else control
    mine = None if isinstance(rows, Unknown) else next(_of(rows.value, device), None)
    unshown: Reading[bool] = (
        rows if isinstance(rows, Unknown) else Unknown(f"{device.name} is not shown", "nicctl show dcqcn")
    )
    return DeviceQos(
        applies=not absent(envelope, "nicctl.qos"),
        qos=_port_of(ports, device),
        dcqcn=mine.enabled if mine is not None else unshown,
        cnp_dscp=mine.cnp_dscp if mine is not None else Unknown(f"{device.name} is not shown", "nicctl show dcqcn"),
        relaxed_ordering=_NOT_TOLD,
    )


def _of(rows: Iterable[Dcqcn], device: RdmaDevice) -> Iterator[Dcqcn]:
    return (row for row in rows if isinstance(row.device, Known) and row.device.value == device.name)


def _port_of(ports: Reading[tuple[PortQos, ...]], device: RdmaDevice) -> Reading[PortQos]:
    """The port of the device's card: nicctl names cards by the PCI address of their upstream port or function."""
    if isinstance(ports, Unknown):
        return ports
    found = [port for port in ports.value if port.port == device.bdf or f"/{port.port}/" in f"{device.path}/"]
    if len(found) == 1:
        return Known(found[0], ports.source)
    return Unknown(f"{len(found)} of its {len(ports.value)} ports belong to {device.name}", ports.source)
