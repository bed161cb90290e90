"""`lspci -nn` and `lspci -vvv`: which devices there are, their links, and whether a bridge's access control is on.

Names differ by the age of pci.ids; classes and ids do not: with -nn an AMD accelerator is class 1200 (processing
accelerator) or 0380 (display controller, the MI200s) of vendor 1002. Without -nn only the class's name is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.fields import Field
from pdctl.health.parse.pci_address import pci_address
from pdctl.model.reading import Known, Reading, Unknown

SOURCE = "lspci"
AMD: Final = "1002"
NIC_VENDORS: Final = {"15b3": "NVIDIA", "14e4": "Broadcom", "1dd8": "AMD Pensando"}

_HEAD = re.compile(r"((?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]) (.+?)(?: \[([0-9a-f]{4})\])?: (.*)\Z")
_IDS = re.compile(r"\[([0-9a-f]{4}):([0-9a-f]{4})\](?: \(rev [0-9a-f]+\))?")
_LINK = re.compile(r"Lnk(Cap|Sta):[^\n]*?Speed ([\d.]+) ?GT/s([^,\n]*), Width x(\d+)")
_READ_REQUEST = re.compile(r"MaxReadReq (\d+) bytes")
_FLAG = re.compile(r"\b(RlxdOrd|SrcValid)([+-])")
_NUMA = re.compile(r"^\s+NUMA node: (-?\d+)", re.MULTILINE)
_DRIVER = re.compile(r"^\s+Kernel driver in use: (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PciDevice:
    """One function. What only -vvv says is unknown without it, and what only root sees without root."""

    address: str
    class_name: str
    class_code: str  # "1200", or "" without -nn
    name: str
    vendor: str  # "1002", or ""
    device: str
    link_gts: Reading[float]
    link_width: Reading[int]
    max_link_gts: Reading[float]
    max_link_width: Reading[int]
    downgraded: Reading[bool]
    relaxed_ordering: Reading[bool]
    read_request_bytes: Reading[int]
    acs_source_validation: Reading[bool]
    numa_node: Reading[int]
    driver: Reading[str]

    @property
    def is_accelerator(self) -> bool:
        """An AMD GPU without a display; a console's VGA chip is none, nor is a virtual one."""
        if self.class_code:
            return self.vendor == AMD and self.class_code in {"1200", "0380"}
        return self.class_name == "Processing accelerators" and "AMD" in self.name

    @property
    def is_nic(self) -> bool:
        """A network or InfiniBand controller of a vendor whose RDMA adapters we know."""
        known = self.vendor in NIC_VENDORS or re.search(r"Mellanox|Broadcom|Pensando", self.name) is not None
        return known and (
            self.class_code in {"0200", "0207"}
            or re.match(r"(?:Ethernet|Infiniband) controller", self.class_name) is not None
        )


def parse_lspci(text: str) -> Reading[tuple[PciDevice, ...]]:
    """Every device, in order. A last line without its end is dropped, and with it the device whose block it ends."""
    devices = tuple(_device(block) for block in _blocks(text))
    if not devices:
        said = next((line.strip() for line in text.splitlines() if line.strip()), "nothing")
        return Unknown(f"{SOURCE} shows no device; it says {said[:120]!r}", SOURCE)
    if not text.endswith("\n"):
        return Unknown(f"{SOURCE} was cut off after {len(devices)} devices", SOURCE)
    return Known(devices, SOURCE)


def _blocks(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """A device's first line, and the indented lines below it."""
    head: re.Match[str] | None = None
    body: list[str] = []
    for line in text.splitlines():
        if match := _HEAD.match(line):
            if head is not None:
                yield head, "\n".join(body)
            head, body = match, []
        else:
            body.append(line)
    if head is not None:
        yield head, "\n".join(body)


def _device(block: tuple[re.Match[str], str]) -> PciDevice:
    head, body = block
    ids = list(_IDS.finditer(head[4]))
    links = {kind: (speed, note, width) for kind, speed, note, width in _LINK.findall(body)}
    flags = dict(_FLAG.findall(_control(body)))
    return PciDevice(
        address=pci_address(head[1]) or head[1],
        class_name=head[2],
        class_code=head[3] or "",
        name=head[4],
        vendor=ids[-1][1] if ids else "",
        device=ids[-1][2] if ids else "",
        link_gts=_field(links, "Sta", 0).gt_per_s(),
        link_width=_field(links, "Sta", 2).count(),
        max_link_gts=_field(links, "Cap", 0).gt_per_s(),
        max_link_width=_field(links, "Cap", 2).count(),
        downgraded=_downgraded(body),
        relaxed_ordering=_flag(flags, "RlxdOrd"),
        read_request_bytes=_first(_READ_REQUEST, body, "MaxReadReq").count(),
        acs_source_validation=_flag(flags, "SrcValid"),
        numa_node=_first(_NUMA, body, "NUMA node").count(),
        driver=_first(_DRIVER, body, "driver").text(),
    )


def _control(body: str) -> str:
    """The lines that say what is on, not what the device could do."""
    lines = body.splitlines()
    starts = [position for position, line in enumerate(lines) if re.match(r"\s+(?:DevCtl|ACSCtl):", line)]
    return "\n".join("\n".join(lines[start : start + 2]) for start in starts)


def _field(links: dict[str, tuple[str, str, str]], kind: str, part: int) -> Field:
    if kind not in links:
        return Field(
            None, SOURCE, f"Lnk{kind}", f"{SOURCE} shows no Lnk{kind}: it was run without -vvv or without root"
        )
    return Field(links[kind][part], SOURCE, f"Lnk{kind}")


def _downgraded(body: str) -> Reading[bool]:
    """What newer lspci says itself in LnkSta; older ones say nothing either way."""
    status = re.search(r"LnkSta:[^\n]*", body)
    if status is None or "(" not in status[0]:
        return Unknown(f"{SOURCE} does not say whether the link is downgraded", SOURCE)
    return Known("(downgraded)" in status[0], SOURCE)


def _flag(flags: dict[str, str], name: str) -> Reading[bool]:
    if name not in flags:
        return Unknown(f"{SOURCE} shows no {name}: it was run without -vvv or without root", SOURCE)
    return Known(flags[name] == "+", SOURCE)


def _first(pattern: re.Pattern[str], body: str, what: str) -> Field:
    match = pattern.search(body)
    return Field(match[1], SOURCE, what) if match else Field(None, SOURCE, what, f"{SOURCE} shows no {what}")
