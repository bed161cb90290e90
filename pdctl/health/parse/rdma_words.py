"""The words in which the kernel and its tools speak of RDMA ports: states, rates, GIDs.

Names: `drivers/infiniband/core/sysfs.c` (state, phys_state, rate, gid_attrs), iproute2 `rdma/link.c`,
rdma-core `ibv_devinfo.c` and `ibstat.c`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from pdctl.health.parse.text_values import choice_of, integer_of, text_of
from pdctl.model.reading import Known, Reading, Unknown

STATES: Final = {1: "DOWN", 2: "INIT", 3: "ARMED", 4: "ACTIVE", 5: "ACTIVE_DEFER"}
PHYSICAL: Final = {
    1: "Sleep",
    2: "Polling",
    3: "Disabled",
    4: "PortConfigurationTraining",
    5: "LinkUp",
    6: "LinkErrorRecovery",
    7: "Phy Test",
}
MTUS: Final = {1: 256, 2: 512, 3: 1024, 4: 2048, 5: 4096}

_NUMBERED: Final = re.compile(r"(\d+):\s*(.+)")
_TRAILING_NUMBER: Final = re.compile(r"(\S+)\s*\((\d+)\)")
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?) Gb/sec(?: \((\d+)X ([A-Z0-9]+)\))?")


class GidType(StrEnum):
    """What a GID table entry speaks. KV over Ethernet wants ROCE_V2 (routable, UDP)."""

    IB_ROCE_V1 = "IB/RoCE v1"
    ROCE_V2 = "RoCE v2"


@dataclass(frozen=True, slots=True)
class Gid:
    """One entry of a port's GID table. `netdev` "" where it is not named."""

    index: int
    address: IPv6Address
    type: Reading[GidType]
    netdev: str = ""

    @property
    def ipv4(self) -> IPv4Address | None:
        """The IPv4 address that it maps, if it maps one."""
        return self.address.ipv4_mapped


def port_state(raw: object, source: str) -> Reading[str]:
    """`4: ACTIVE` (sysfs), `PORT_ACTIVE (4)` (ibv_devinfo), `Active` (ibstat), `ACTIVE` (rdma): ACTIVE, DOWN, INIT…

    Where number and name contradict each other it is unknown.
    """
    return _numbered(raw, source, _STATES, prefix="PORT_")


def physical_state(raw: object, source: str) -> Reading[str]:
    """`5: LinkUp` (sysfs), `LinkUp` (ibstat), `LINK_UP` (rdma, iproute2): LinkUp, Polling, Disabled…"""
    return _numbered(raw, source, _PHYSICAL, prefix="")


def link_rate(raw: object, source: str) -> Reading[float]:
    """Gb/s of `400 Gb/sec (4X NDR)`; the lane text varies with the generation and is not needed."""
    read = text_of(raw, source)
    if isinstance(read, Unknown):
        return read
    match = _RATE.fullmatch(read.value)
    if match is None:
        return Unknown(f"{read.value[:60]!r} is no link rate", source)
    return Known(float(match.group(1)), source)


def link_layer(raw: object, source: str) -> Reading[str]:
    """`Ethernet` or `InfiniBand`."""
    return choice_of(raw, source, {"ethernet": "Ethernet", "infiniband": "InfiniBand"})


def verbs_mtu(raw: object, source: str) -> Reading[int]:
    """Bytes of `4096 (5)`; number and code must agree (rdma-core `enum ibv_mtu`)."""
    read = text_of(raw, source)
    if isinstance(read, Unknown):
        return read
    match = _TRAILING_NUMBER.fullmatch(read.value)
    if match is None:
        plain = integer_of(read.value, source)
        return plain if isinstance(plain, Known) and plain.value in MTUS.values() else Unknown(_odd(read.value), source)
    size, code = integer_of(match.group(1), source), int(match.group(2)[:4])
    if isinstance(size, Unknown) or MTUS.get(code) != size.value:
        return Unknown(_odd(read.value), source)
    return size


def gid_address(raw: object) -> IPv6Address | None:
    """The address; None for what is no GID and for the all-zero entry, which is an empty one."""
    return _gid_address(raw.strip()) if isinstance(raw, str) else None


@lru_cache(maxsize=4096)
def _gid_address(text: str) -> IPv6Address | None:
    """Kept, since sysfs, ibv_devinfo and show_gids all print the same few, and reading one takes 20 us."""
    try:
        address = IPv6Address(text)
    except (AddressValueError, ValueError):
        return None
    return None if int(address) == 0 else address


def gid_type(raw: object, source: str) -> Reading[GidType]:
    """`RoCE v2`, `IB/RoCE v1` (sysfs), `RoCE v1` (ibv_devinfo), `v1`, `v2` (show_gids)."""
    read = text_of(raw, source)
    if isinstance(read, Unknown):
        return read
    match read.value.lower():
        case "rocev2" | "roce v2" | "v2":
            return Known(GidType.ROCE_V2, source)
        case "ib/roce v1" | "roce v1" | "v1" | "ib":
            return Known(GidType.IB_ROCE_V1, source)
    return Unknown(_odd(read.value), source)


def _numbered(raw: object, source: str, names: Mapping[str, tuple[int, str]], *, prefix: str) -> Reading[str]:
    read = text_of(raw, source)
    if isinstance(read, Unknown):
        return read
    number, name = None, read.value
    if match := _NUMBERED.fullmatch(read.value):
        number, name = int(match.group(1)[:4]), match.group(2)
    elif match := _TRAILING_NUMBER.fullmatch(read.value):
        number, name = int(match.group(2)[:4]), match.group(1)
    known = names.get(_plain(name.removeprefix(prefix)))
    if known is None:
        return Unknown(_odd(read.value), source)
    if number is not None and number != known[0]:
        return Unknown(f"{read.value[:60]!r} contradicts itself", source)
    return Known(known[1], source)


def _plain(name: str) -> str:
    return name.replace(" ", "").replace("_", "").lower()


def _odd(text: str) -> str:
    return f"{text[:60]!r} is none of its words"


_STATES: Final = {_plain(name): (code, name) for code, name in STATES.items()}
_PHYSICAL: Final = {_plain(name): (code, name) for code, name in PHYSICAL.items()}
