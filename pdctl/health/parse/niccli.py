"""Broadcom's `niccli` (Thor and Thor2): device list, QoS, NVM options.

QoS is printed in the words of lldptool: "PFC enabled: 1 3 7" names priorities, "none" is none. Both dialects are read:
`niccli -dev N getqos` (up to 233) and `niccli --dev N qos --ets --show`. Formats: ROCm docs (gpu-cluster-networking),
node-scraper.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from pdctl.health.parse.qos import PortQos
from pdctl.health.parse.text_values import choice_of, colon_lines, missing, nothing_in, text_of
from pdctl.model.reading import Known, Reading, Unknown

LIST: Final = "niccli --list_devices"
QOS: Final = "niccli qos"
_DEVICE: Final = re.compile(r"\s*(\d{1,3})\s*\)\s*(.*?)\s*(?:\(([^()]*)\))?\s*")
_OPTION: Final = re.compile(r"^\s*([a-z][a-z0-9_]*)\s*=\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE)
_SWITCH: Final = {"enabled": "enabled", "disabled": "disabled", "1": "enabled", "0": "disabled"}
_DSCP_SELECTOR: Final = 5


@dataclass(frozen=True, slots=True)
class NiccliDevice:
    """One adapter port. `number` is what `--dev` takes; `bdf` in lower case with its domain."""

    number: int
    model: Reading[str]
    netdev: Reading[str]
    mac: Reading[str]
    bdf: Reading[str]


@dataclass(frozen=True, slots=True)
class AppEntry:
    """One row of the APP table (IEEE 802.1Qaz): `selector` 5 maps a DSCP, 3 a UDP or TCP port, to a priority."""

    priority: int | None = None
    selector: int | None = None
    protocol: str = ""
    value: int | None = None


def niccli_devices(text: str) -> Reading[tuple[NiccliDevice, ...]]:
    """`niccli --list_devices`, `--listdev`."""
    found: list[NiccliDevice] = []
    for line in text.splitlines():
        if (match := _DEVICE.fullmatch(line)) and match.group(2):
            unknown = missing("it", LIST)
            found.append(NiccliDevice(int(match.group(1)), Known(match.group(2), LIST), unknown, unknown, unknown))
        elif found:
            found[-1] = _with(found[-1], line)
    return Known(tuple(found), LIST) if found else nothing_in(text, LIST)


def niccli_qos(text: str, device: str = "") -> Reading[PortQos]:
    """`niccli --dev N qos --ets --show`, `getqos`. One word that cannot be read makes its whole table unknown."""
    if "8021QAZ" not in text:
        return nothing_in(text, QOS)
    apps = app_entries(text)
    dscps = {app.value: app.priority for app in apps if app.selector == _DSCP_SELECTOR and app.value is not None}
    mapped: Reading[Mapping[int, int]] = (
        Known({dscp: priority for dscp, priority in dscps.items() if priority is not None}, QOS)
        if dscps and None not in dscps.values()
        else missing("a DSCP map", QOS)
    )
    trust: Reading[str] = Known("dscp", QOS) if dscps else Unknown("no APP entry maps a DSCP", QOS)
    return Known(PortQos(device, trust, _lossless(text), mapped, _shares(text)), QOS)


def niccli_option(text: str, name: str) -> Reading[str]:
    """`niccli --dev N nvm --getoption NAME`: "enabled" or "disabled"."""
    source = f"niccli nvm {name}"
    for option, value in _OPTION.findall(text):
        if option.lower() == name:
            return choice_of(value, source, _SWITCH)
    return nothing_in(text, source)


def app_entries(text: str) -> tuple[AppEntry, ...]:
    """The APP table, as far as it can be read."""
    found: list[AppEntry] = []
    for line in colon_lines(text):
        if re.fullmatch(r"APP#\d{1,4}", line.key, re.IGNORECASE):
            found.append(AppEntry())
        elif found and line.key == "TC Rate Limit":
            break
        elif found:
            number = int(line.value) if re.fullmatch(r"\d{1,6}", line.value) else None
            match line.key.lower():
                case "priority":
                    found[-1] = replace(found[-1], priority=number)
                case "sel":
                    found[-1] = replace(found[-1], selector=number)
                case _:
                    found[-1] = replace(found[-1], protocol=line.key, value=number)
    return tuple(found)


def _with(device: NiccliDevice, line: str) -> NiccliDevice:
    key, colon, value = line.partition(":")
    said = text_of(value, LIST)
    match key.strip().lower():
        case "device interface" | "device interface name" | "interface name" if colon:
            return replace(device, netdev=said)
        case "mac address" if colon:
            return replace(device, mac=said)
        case "pci address" if colon:
            return replace(device, bdf=Known(said.value.lower(), LIST) if isinstance(said, Known) else said)
    return device


def _lossless(text: str) -> Reading[frozenset[int]]:
    match = re.search(r"^\s*PFC enabled:(.*)$", text, re.MULTILINE | re.IGNORECASE)
    if match is None:
        return missing("PFC enabled", QOS)
    words = match.group(1).replace(",", " ").split()
    if [word.lower() for word in words] == ["none"]:
        return Known(frozenset(), QOS)
    if not words or any(not re.fullmatch(r"[0-7]", word) for word in words):
        return Unknown(f"PFC enabled says {match.group(1).strip()[:40]!r}", QOS)
    return Known(frozenset(int(word) for word in words), QOS)


def _shares(text: str) -> Reading[Mapping[int, float]]:
    """Percent by priority: the share of the traffic class that PRIO_MAP names for it, where ETS schedules that."""
    classes, shares = _pairs(text, "PRIO_MAP"), re.search(r"^\s*TC Bandwidth:(.*)$", text, re.MULTILINE)
    kinds = _kinds(text)
    if classes is None or shares is None or kinds is None:
        return missing("PRIO_MAP, TSA_MAP or TC Bandwidth", QOS)
    words = shares.group(1).split()
    if any(not re.fullmatch(r"\d{1,3}%", word) for word in words):
        return Unknown(f"TC Bandwidth says {shares.group(1).strip()[:40]!r}", QOS)
    percent = [float(word[:-1]) for word in words]
    if any(not at.isdigit() or int(at) >= len(percent) for at in classes.values()):
        return Unknown("PRIO_MAP names a traffic class without a bandwidth", QOS)
    return Known({priority: percent[int(at)] for priority, at in classes.items() if kinds.get(int(at)) == "ets"}, QOS)


def _kinds(text: str) -> dict[int, str] | None:
    """How each traffic class is scheduled, by TSA_MAP; only ETS has shares. None where one cannot be read."""
    match = re.search(r"^\s*TSA_MAP:(.*)$", text, re.MULTILINE)
    words = match.group(1).split() if match else []
    if not words or any(not re.fullmatch(r"[0-7]:[a-z]+", word) for word in words):
        return None
    return {int(word[0]): word[2:] for word in words}


def _pairs(text: str, key: str) -> dict[int, str] | None:
    """`0:0 1:0 …` after `key:`; None where a pair cannot be read."""
    match = re.search(rf"^\s*{key}:(.*)$", text, re.MULTILINE)
    if match is None:
        return None
    words = match.group(1).split()
    if not words or any(not re.fullmatch(r"[0-7]:[0-7]", word) for word in words):
        return None
    return {int(word[0]): word[2:] for word in words}
