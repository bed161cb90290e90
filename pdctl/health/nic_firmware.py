"""Versions around the adapters: firmware by vendor tool, drivers, and what lets a NIC reach GPU memory directly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pdctl.health.envelope import Envelope
from pdctl.health.nic_device import RdmaDevice, Vendor
from pdctl.health.outputs import output
from pdctl.health.parse.files import file_field
from pdctl.health.parse.kernel_text import kernel_config, kernel_version, lsmod
from pdctl.health.parse.nicctl import nicctl_cards
from pdctl.model.reading import Known, Reading, Unknown

MODULES: Final[Mapping[Vendor, tuple[str, ...]]] = {
    Vendor.NVIDIA: ("mlx5_core",),
    Vendor.BROADCOM: ("bnxt_en", "bnxt_re"),
    Vendor.AMD: ("ionic", "ionic_rdma"),
}
PEERS: Final = "/sys/kernel/mm/memory_peers"
_PEER: Final = re.compile(rf"{PEERS}/([^/]+)/version")
_NUMBERS: Final = re.compile(r"\d{1,9}")


@dataclass(frozen=True, slots=True)
class NicVersions:
    """`firmware` by device (its card's running one where its vendor tool tells it, else sysfs), `drivers` by module.

    `peer_memory`: by which way NICs may register GPU memory: "amdkfd", "ib_peer_mem", "dmabuf"; () if none.
    """

    firmware: Mapping[str, Reading[str]]
    drivers: Mapping[str, Reading[str]]
    peer_memory: Reading[tuple[str, ...]]


def nic_versions(envelope: Envelope, devices: Iterable[RdmaDevice]) -> NicVersions:
    """The versions that matter to these devices."""
    devices = tuple(devices)
    vendors = {device.vendor.value for device in devices if isinstance(device.vendor, Known)}
    modules = [module for vendor in MODULES if vendor in vendors for module in MODULES[vendor]]
    cards = _card_firmware(envelope)
    return NicVersions(
        firmware={device.name: cards.get(device.bdf, device.firmware) for device in devices},
        drivers={module: _module(envelope, module) for module in modules},
        peer_memory=_peer_memory(envelope),
    )


def version_key(version: str) -> tuple[int, ...]:
    """The numbers of a version, for comparison: "1.117.5-a-45" is (1, 117, 5, 45)."""
    return tuple(int(number) for number in _NUMBERS.findall(version))


def _card_firmware(envelope: Envelope) -> dict[str, Reading[str]]:
    text = output(envelope, "nicctl.card")
    cards = nicctl_cards(text.value) if isinstance(text, Known) else text
    if isinstance(cards, Unknown):
        return {}
    return {card.bdf.value: card.firmware for card in cards.value if isinstance(card.bdf, Known)}


def _module(envelope: Envelope, module: str) -> Reading[str]:
    """Its version; an in-box module has none of its own, and goes with its kernel."""
    path = f"/sys/module/{module}/version"
    said = file_field(envelope.files, path).text()
    if isinstance(said, Known):
        return said
    loaded = lsmod(text.value) if isinstance(text := output(envelope, "lsmod"), Known) else text
    if isinstance(loaded, Known) and module in loaded.value and envelope.kernel:
        return Known(f"in-box of {envelope.kernel}", "lsmod")
    return said


def _peer_memory(envelope: Envelope) -> Reading[tuple[str, ...]]:
    """Peer memory clients; or dmabuf, which needs Linux 5.12 and CONFIG_DMABUF_MOVE_NOTIFY (ROCm documentation)."""
    found = [match.group(1) for path in sorted(envelope.files) if (match := _PEER.fullmatch(path))]
    text = output(envelope, "kernel.config")
    config = kernel_config(text.value) if isinstance(text, Known) else text
    version = kernel_version(envelope.kernel)
    if isinstance(version, Known) and isinstance(config, Known):
        if version.value >= (5, 12) and config.value.get("CONFIG_DMABUF_MOVE_NOTIFY") == "y":
            found.append("dmabuf")
        return Known(tuple(found), f"{PEERS}, {config.source}")
    if found:
        return Known(tuple(found), PEERS)
    return config if isinstance(config, Unknown) else Unknown("the kernel's version is not known", "uname")
