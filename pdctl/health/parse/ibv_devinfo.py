"""rdma-core's `ibv_devices` and `ibv_devinfo` (with and without -v), as printed by rdma-core 17 to 58 and OFED.

Old releases print no link_layer and no GID type; `ibv_devinfo -v` prints a GID as `fe80:…, RoCE v2` and, where it
maps IPv4, as `::ffff:192.168.7.36, RoCE v2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.rdma_words import Gid, gid_address, gid_type, link_layer, port_state, verbs_mtu
from pdctl.health.parse.text_values import integer_of, nothing_in, text_of, under
from pdctl.model.reading import Known, Reading

SOURCE: Final = "ibv_devinfo"
_GID: Final = re.compile(r"\s*GID\[\s*(\d{1,5})\]:\s*([0-9a-fA-F:.]+)\s*(?:,\s*(.+?))?\s*")
_PORT: Final = re.compile(r"\s*port:\s*\d{1,3}\s*")
_DEVICE_ROW: Final = re.compile(r"\s*([A-Za-z][\w.-]*)\s+([0-9a-fA-F]{16})\s*")


@dataclass(frozen=True, slots=True)
class VerbsPort:
    """One port. `max_mtu`, `active_mtu` in bytes. `gids` is empty without -v, and where the port has none."""

    number: int
    state: Reading[str]
    max_mtu: Reading[int]
    active_mtu: Reading[int]
    link_layer: Reading[str]
    gids: tuple[Gid, ...]


@dataclass(frozen=True, slots=True)
class VerbsDevice:
    """One device (`hca_id`). `vendor_id` is the PCI or IEEE number that the provider reports, like 0x1dd8 or 0x02c9."""

    name: str
    transport: Reading[str]
    firmware: Reading[str]
    node_guid: Reading[str]
    vendor_id: Reading[int]
    board_id: Reading[str]
    ports: tuple[VerbsPort, ...]


def ibv_devices(text: str) -> Reading[tuple[tuple[str, str], ...]]:
    """(device, node GUID of 16 hex digits) of `ibv_devices`, in its order."""
    source = "ibv_devices"
    if "node GUID" not in text:
        return nothing_in(text, source)
    rows = [match for line in text.splitlines() if (match := _DEVICE_ROW.fullmatch(line))]
    return Known(tuple((row.group(1), row.group(2).lower()) for row in rows), source)


def ibv_devinfo(text: str) -> Reading[tuple[VerbsDevice, ...]]:
    """Every `hca_id:` block. Unknown where there is none ("No IB devices found", no driver, no output)."""
    found = tuple(_device(block) for block in _blocks(text, "hca_id"))
    return Known(found, SOURCE) if found else nothing_in(text, SOURCE)


def _blocks(text: str, key: str) -> Iterator[list[str]]:
    """The lines of each block that starts with a `key:` line."""
    block: list[str] | None = None
    for line in text.splitlines():
        if line.strip().startswith(f"{key}:"):
            if block is not None:
                yield block
            block = []
        if block is not None:
            block.append(line)
    if block is not None:
        yield block


def _device(lines: list[str]) -> VerbsDevice:
    ports = [at for at, line in enumerate(lines) if "port:" in line and _PORT.fullmatch(line)]
    head = _pairs(lines[: ports[0]] if ports else lines)
    ends = [*ports[1:], len(lines)]
    return VerbsDevice(
        name=head.get("hca_id", ""),
        transport=under(head, "transport", SOURCE, text_of),
        firmware=under(head, "fw_ver", SOURCE, text_of),
        node_guid=under(head, "node_guid", SOURCE, text_of),
        vendor_id=under(head, "vendor_id", SOURCE, integer_of),
        board_id=under(head, "board_id", SOURCE, text_of),
        ports=tuple(_port(lines[start:end]) for start, end in zip(ports, ends, strict=False)),
    )


def _port(lines: list[str]) -> VerbsPort:
    pairs = _pairs(lines)
    gids = []
    for line in lines:
        match = _GID.fullmatch(line) if "GID[" in line else None
        address = gid_address(match.group(2)) if match else None
        if match and address is not None:
            gids.append(Gid(int(match.group(1)), address, gid_type(match.group(3), SOURCE)))
    return VerbsPort(
        number=int(pairs["port"]),
        state=under(pairs, "state", SOURCE, port_state),
        max_mtu=under(pairs, "max_mtu", SOURCE, verbs_mtu),
        active_mtu=under(pairs, "active_mtu", SOURCE, verbs_mtu),
        link_layer=under(pairs, "link_layer", SOURCE, link_layer),
        gids=tuple(gids),
    )


def _pairs(lines: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.partition(":")
        if colon and (name := key.strip()) and not name.startswith("GID["):
            pairs.setdefault(name, value.strip())
    return pairs
