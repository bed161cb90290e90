"""`ethtool DEV` (link settings), `ethtool -i DEV` (driver), `ethtool -S DEV` (statistics; names are the driver's own).

Statistics: mlx5 `rx_prio3_pause`, bnxt `[0]: rx_ucast_packets` per ring, ionic `frames_rx_bad_fcs`. A speed is
`400000Mb/s`, or `Unknown!` where the link is down.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.text_values import choice_of, colon_lines, count_of, nothing_in, text_of, under
from pdctl.model.reading import Known, Reading, Unknown

_SPEED: Final = re.compile(r"(\d{1,8})Mb/s")
_STATISTIC: Final = re.compile(r"\s*(?:\[(\d{1,4})\]:?\s*)?([^\s:\[][^:]*?):\s*(\S+)\s*")
_YES_NO: Final = {"yes": "yes", "no": "no"}


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """One network device's link. `speed_gbps` is unknown without a link."""

    device: str
    speed_gbps: Reading[float]
    detected: Reading[bool]
    autonegotiation: Reading[str]
    port: Reading[str]


@dataclass(frozen=True, slots=True)
class DriverInfo:
    """`ethtool -i`: kernel driver, its version (the kernel's where it is in-box), firmware, PCI address."""

    driver: Reading[str]
    version: Reading[str]
    firmware: Reading[str]
    bdf: Reading[str]


def ethtool_link(text: str) -> Reading[LinkSettings]:
    """`ethtool DEV`."""
    source = "ethtool"
    head = re.search(r"^\s*Settings for (\S+?):\s*$", text, re.MULTILINE)
    if head is None:
        return nothing_in(text, source)
    pairs = {line.key: line.value for line in colon_lines(text[head.end() :])}
    found = LinkSettings(
        device=head.group(1),
        speed_gbps=under(pairs, "Speed", source, _speed),
        detected=under(pairs, "Link detected", source, _detected),
        autonegotiation=under(pairs, "Auto-negotiation", source, text_of),
        port=under(pairs, "Port", source, text_of),
    )
    return Known(found, source)


def ethtool_driver(text: str) -> Reading[DriverInfo]:
    """`ethtool -i DEV`."""
    source = "ethtool -i"
    pairs = {line.key: line.value for line in colon_lines(text)}
    if "driver" not in pairs:
        return nothing_in(text, source)
    found = DriverInfo(
        driver=under(pairs, "driver", source, text_of),
        version=under(pairs, "version", source, text_of),
        firmware=under(pairs, "firmware-version", source, text_of),
        bdf=under(pairs, "bus-info", source, text_of),
    )
    return Known(found, source)


def ethtool_statistics(text: str) -> Reading[Mapping[str, Reading[int]]]:
    """`ethtool -S DEV`: counters by name. Counters of rings ("[3]: rx_errors") are added up over the rings.

    Where one ring's counter cannot be read, the sum is unknown.
    """
    source = "ethtool -S"
    start = text.find("NIC statistics:")
    if start < 0:
        return nothing_in(text, source)
    counters: dict[str, Reading[int]] = {}
    rings: dict[str, list[Reading[int]]] = {}
    for line in text[start:].splitlines()[1:]:
        match = _STATISTIC.fullmatch(line)
        if match is None:
            continue
        read = count_of(match.group(3), source)
        if match.group(1) is None:
            counters[match.group(2)] = read
        else:
            rings.setdefault(match.group(2), []).append(read)
    for name, reads in rings.items():
        bad = next((read for read in reads if isinstance(read, Unknown)), None)
        total = sum(read.value for read in reads if isinstance(read, Known))
        counters.setdefault(name, bad or Known(total, f"{source}, over {len(reads)} rings"))
    return Known(counters, source) if counters else nothing_in(text, source)


def _speed(raw: object, source: str) -> Reading[float]:
    read = text_of(raw, source)
    if isinstance(read, Unknown):
        return read
    match = _SPEED.fullmatch(read.value)
    if match is None or not int(match.group(1)):
        return Unknown(f"{read.value[:40]!r} is no speed", source)
    return Known(int(match.group(1)) / 1000, source)


def _detected(raw: object, source: str) -> Reading[bool]:
    read = choice_of(raw, source, _YES_NO)
    return read if isinstance(read, Unknown) else Known(read.value == "yes", source)
