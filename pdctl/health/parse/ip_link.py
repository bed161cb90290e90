"""iproute2's `ip addr` and `ip link`: as JSON (-j), as text, and brief (-br).

`state` is the operational state (UP, DOWN, UNKNOWN of loopback). A name like `rdma0@if7` or `bond0.5@bond0` is
`rdma0`, `bond0.5`. Formats: iproute2 ip/ipaddress.c.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Interface
from typing import Final

from pdctl.health.parse.json_documents import Json, as_list, as_object, records
from pdctl.health.parse.text_values import count_of, missing, nothing_in, text_of, under
from pdctl.model.reading import Known, Reading, Unknown

SOURCE: Final = "ip addr"
_HEAD: Final = re.compile(r"(\d{1,9}):\s+([^\s:@]+)(?:@\S+)?:\s+<([^>]*)>\s*(.*)")
_INET: Final = re.compile(r"\s+inet\s+(\S+)\s.*")
_MAC: Final = re.compile(r"\s+link/\S+\s+([0-9a-fA-F:]{17})\b.*")
_BRIEF: Final = re.compile(r"([^\s:@]+)(?:@\S+)?\s+(UP|DOWN|UNKNOWN|DORMANT|LOWERLAYERDOWN|NOTPRESENT|TESTING)\s*(.*)")


@dataclass(frozen=True, slots=True)
class NetworkLink:
    """One network device. `ipv4` with prefix lengths; empty where none is shown, which `ip link` never does."""

    name: str
    state: Reading[str]
    mtu: Reading[int]
    mac: Reading[str]
    master: str = ""
    ipv4: tuple[IPv4Interface, ...] = ()


def ip_links(text: str) -> Reading[tuple[NetworkLink, ...]]:
    """Every network device of `ip addr` or `ip link`, in any of the three forms."""
    rows, found = records(text)
    if found.values or found.damaged:
        links = [link for row in rows if (link := _from_json(row)) is not None]
        if found.damaged:
            return Unknown(found.why_empty, SOURCE)
    else:
        links = _from_text(text)
    return Known(tuple(links), SOURCE) if links else nothing_in(text, SOURCE)


def _from_json(row: Mapping[str, Json]) -> NetworkLink | None:
    name = row.get("ifname")
    if not isinstance(name, str) or not name:
        return None
    master = row.get("master")
    addresses = (_interface(as_object(info)) for info in as_list(row.get("addr_info")))
    return NetworkLink(
        name=name,
        state=under(row, "operstate", SOURCE, _state),
        mtu=under(row, "mtu", SOURCE, count_of),
        mac=under(row, "address", SOURCE, text_of),
        master=master if isinstance(master, str) else "",
        ipv4=tuple(address for address in addresses if address is not None),
    )


def _interface(info: Mapping[str, Json]) -> IPv4Interface | None:
    if info.get("family") != "inet":
        return None
    return _address(f"{info.get('local')}/{info.get('prefixlen', 32)}")


def _address(text: str) -> IPv4Interface | None:
    try:
        return IPv4Interface(text)
    except (AddressValueError, ValueError):
        return None


def _from_text(text: str) -> list[NetworkLink]:
    links: list[NetworkLink] = []
    for line in text.splitlines():
        if match := _HEAD.fullmatch(line):
            words = match.group(4).split()
            pairs: dict[str, str] = dict(zip(words[::2], words[1::2], strict=False))
            links.append(
                NetworkLink(
                    name=match.group(2),
                    state=under(pairs, "state", SOURCE, _state),
                    mtu=under(pairs, "mtu", SOURCE, count_of),
                    mac=missing("an address", SOURCE),
                    master=pairs.get("master", ""),
                )
            )
        elif links and (match := _INET.fullmatch(line)):
            address = _address(match.group(1))
            if address is not None:
                links[-1] = replace(links[-1], ipv4=(*links[-1].ipv4, address))
        elif links and isinstance(links[-1].mac, Unknown) and (match := _MAC.fullmatch(line)):
            links[-1] = replace(links[-1], mac=Known(match.group(1).lower(), SOURCE))
        elif match := _BRIEF.fullmatch(line):
            links.append(_brief(match))
    return links


def _brief(match: re.Match[str]) -> NetworkLink:
    words = match.group(3).split()
    mac = next((word for word in words if re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", word)), None)
    addresses = (_address(word) for word in words if "/" in word)
    return NetworkLink(
        name=match.group(1),
        state=_state(match.group(2), SOURCE),
        mtu=missing("mtu", SOURCE),
        mac=Known(mac.lower(), SOURCE) if mac else missing("an address", SOURCE),
        ipv4=tuple(address for address in addresses if address is not None),
    )


def _state(raw: object, source: str) -> Reading[str]:
    """The operational state. UNKNOWN is a word of its own here: what loopback and some virtual devices show."""
    if isinstance(raw, str) and raw.strip().upper() == "UNKNOWN":
        return Unknown("its operational state is UNKNOWN", source)
    read = text_of(raw, source)
    return Known(read.value.upper(), source) if isinstance(read, Known) else read
