"""AMD's `nicctl` in its text form: cards, ports, QoS, DCQCN, versions. Blocks start with `NIC : <id> (<PCI address>)`.

Formats: ROCm docs ("vLLM distributed inference with MoRI", "Verify the configuration"), node-scraper; firmware 1.117.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.nicctl import NicctlPort, speed_gbps
from pdctl.health.parse.qos import PortQos
from pdctl.health.parse.text_values import colon_lines, count_of, missing, nothing_in, text_of, under
from pdctl.model.reading import Known, Reading, Unknown

_NIC: Final = re.compile(r"^\s*NIC\s*:\s*(\S+)\s*\(\s*([0-9a-fA-F:.]+)\s*\).*$", re.MULTILINE)
_CARD: Final = re.compile(
    r"\s*([0-9a-f-]{8,36})\s+([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])(?:\s+(.*))?", re.IGNORECASE
)
_PORT: Final = re.compile(r"^\s*Port\s*:\s*(\S+)", re.MULTILINE)
_DSCPS: Final = re.compile(r"^\s*DSCP\s*:\s*([\d,\s-]+?)\s*==>\s*priority\s*:\s*([0-7])\s*$", re.MULTILINE)
_SCHEDULING: Final = re.compile(
    r"^\s*([0-7])\s+(DWRR|strict)\s+(\d{1,3}|N/A)\s+(\S+)\s*$", re.MULTILINE | re.IGNORECASE
)
_FIRMWARE_LINE: Final = re.compile(r"^\s*([A-Za-z]\w*):\s*(\d+\.\d+\.\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Dcqcn:
    """Congestion control of one RoCE device. `cnp_dscp`: how its congestion notifications are marked."""

    card: str
    device: Reading[str]
    enabled: Reading[bool]
    cnp_dscp: Reading[int]


def nicctl_text_cards(text: str) -> Reading[tuple[tuple[str, str], ...]]:
    """(id, PCI address) of every row of `nicctl show card`."""
    source = "nicctl show card"
    rows = [match for line in text.splitlines() if (match := _CARD.fullmatch(line))]
    return Known(tuple((row[1], row[2].lower()) for row in rows), source) if rows else nothing_in(text, source)


def nicctl_text_ports(text: str) -> Reading[tuple[NicctlPort, ...]]:
    """`nicctl show port`; `card` is the PCI address."""
    source = "nicctl show port"
    found = []
    for bdf, block in _blocks(text):
        for port, body in _ports(block):
            spec, _, status = body.partition("Status:")
            said = {line.key.lower(): line.value for line in colon_lines(spec)}
            seen = {line.key.lower(): line.value for line in colon_lines(status)}
            found.append(
                NicctlPort(
                    card=bdf,
                    id=port,
                    admin=under(said, "admin state", source, text_of),
                    status=under(seen, "operational status", source, text_of),
                    speed_gbps=speed_gbps(under(seen, "speed", source, text_of)),
                    mtu_bytes=under(said, "mtu", source, count_of),
                    pause=under(said, "pause type", source, text_of),
                    link_downs=under(seen, "number of link down events", source, count_of),
                    mac=under(seen, "mac address", source, text_of),
                )
            )
    return Known(tuple(found), source) if found else nothing_in(text, source)


def nicctl_qos(text: str) -> Reading[tuple[PortQos, ...]]:
    """`nicctl show qos`: one per port; `port` is the card's PCI address."""
    source = "nicctl show qos"
    found = [_qos(bdf, body, source) for bdf, block in _blocks(text) for _, body in _ports(block)]
    return Known(tuple(found), source) if found else nothing_in(text, source)


def nicctl_dcqcn(text: str) -> Reading[tuple[Dcqcn, ...]]:
    """`nicctl show dcqcn`: one per RoCE device."""
    source = "nicctl show dcqcn"
    found = []
    for bdf, block in _blocks(text):
        parts = re.split(r"^(?=\s*ROCE device\s*:)", block, flags=re.MULTILINE | re.IGNORECASE)
        for part in parts[1:]:
            pairs = {line.key: line.value for line in colon_lines(part)}
            device = next((value for key, value in pairs.items() if key.lower() == "roce device"), "")
            cnp = under(pairs, "DSCP value used for CNP", source, count_of)
            found.append(Dcqcn(bdf, text_of(device, source), under(pairs, "Status", source, _enabled), cnp))
    return Known(tuple(found), source) if found else nothing_in(text, source)


def nicctl_firmware(text: str) -> Reading[Mapping[str, str]]:
    """Running firmware by PCI address, of `nicctl show version firmware`; by device name where it lists those."""
    source = "nicctl show version firmware"
    found: dict[str, str] = {}
    for bdf, block in _blocks(text):
        pairs = {line.key.lower(): line.value for line in colon_lines(block)}
        versions = {value for key, value in pairs.items() if key in ("firmware", "firmware-a", "firmware-b")}
        if len(versions) != 1:  # two partitions that differ: which one runs is not told here
            return Unknown(f"{bdf} has {len(versions) or 'no'} firmware versions", source)
        found[bdf] = versions.pop()
    found = found or dict(_FIRMWARE_LINE.findall(text))
    return Known(found, source) if found else nothing_in(text, source)


def nicctl_host_software(text: str) -> Reading[Mapping[str, str]]:
    """Versions by component ("nicctl", "IPC driver", "ionic driver") of `nicctl show version host-software`."""
    source = "nicctl show version host-software"
    found = {
        line.key: line.value for line in colon_lines(text) if line.value and line.key.lower().endswith(_COMPONENTS)
    }
    return Known(found, source) if found else nothing_in(text, source)


_COMPONENTS: Final = ("nicctl", "ipc driver", "ionic driver")


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """(PCI address, text) of each card."""
    starts = list(_NIC.finditer(text))
    for start, following in zip(starts, [*starts[1:], None], strict=False):
        yield start.group(2).lower(), text[start.end() : following.start() if following else len(text)]


def _ports(block: str) -> Iterator[tuple[str, str]]:
    starts = list(_PORT.finditer(block))
    for start, following in zip(starts, [*starts[1:], None], strict=False):
        yield start.group(1), block[start.end() : following.start() if following else len(block)]


def _enabled(raw: object, source: str) -> Reading[bool]:
    match str(raw).strip().lower():
        case "enabled":
            return Known(True, source)
        case "disabled":
            return Known(False, source)
    return Unknown(f"status {raw!r}", source)


def _qos(bdf: str, text: str, source: str) -> PortQos:
    pairs = {line.key: line.value for line in colon_lines(text)}
    trust = under(pairs, "Classification type", source, text_of)
    return PortQos(
        port=bdf,
        trust=Known(trust.value.lower(), source) if isinstance(trust, Known) else trust,
        lossless=_lossless(pairs, source),
        dscp_priority=_dscps(text, source),
        share=_shares(text, source),
    )


def _lossless(pairs: Mapping[str, str], source: str) -> Reading[frozenset[int]]:
    """The no-drop priorities; the PFC bitmap has to cover them (MoRI env_check), else the two contradict each other."""
    if "PFC no-drop priorities" not in pairs or "PFC priority bitmap" not in pairs:
        return missing("the PFC part", source)
    words = pairs["PFC no-drop priorities"].replace(",", " ").split()
    bitmap = pairs["PFC priority bitmap"]
    if any(not re.fullmatch(r"[0-7]", word) for word in words) or not re.fullmatch(r"0x[0-9a-fA-F]{1,2}", bitmap):
        return Unknown(f"PFC says {' '.join(words)[:40]!r}, {bitmap[:20]!r}", source)
    found = frozenset(int(word) for word in words)
    covered = frozenset(bit for bit in range(8) if int(bitmap, 16) >> bit & 1)
    if not found <= covered:
        return Unknown(f"no-drop priorities {sorted(found)} are not in the PFC bitmap {bitmap}", source)
    return Known(found, source)


def _dscps(text: str, source: str) -> Reading[Mapping[int, int]]:
    found: dict[int, int] = {}
    for spans, priority in _DSCPS.findall(text):
        for span in spans.replace(" ", "").split(","):
            first, _, last = span.partition("-")
            if not first.isdigit() or (last and not last.isdigit()) or len(first) > 2 or len(last) > 2:
                return Unknown(f"the DSCP map says {spans[:40]!r}", source)
            found |= dict.fromkeys(range(int(first), int(last or first) + 1), int(priority))
    if set(found) != set(range(64)):
        return Unknown(f"the DSCP map names {len(found)} of 64 values", source)
    return Known(found, source)


def _shares(text: str, source: str) -> Reading[Mapping[int, float]]:
    rows = _SCHEDULING.findall(text)
    if not rows:
        return missing("the scheduling table", source)
    return Known({int(row[0]): float(row[2]) for row in rows if row[2].isdigit()}, source)
