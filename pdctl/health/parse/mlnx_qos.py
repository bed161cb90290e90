"""NVIDIA's `mlnx_qos -i DEV`: DCBX mode, trust state, DSCP map, PFC, traffic classes with their shares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.qos import PortQos
from pdctl.health.parse.text_values import choice_of, missing, nothing_in
from pdctl.model.reading import Known, Reading, Unknown

SOURCE: Final = "mlnx_qos"
_MAP: Final = re.compile(r"\s*prio:([0-7])\s+dscp:([\d,\s]*)")
_ENABLED: Final = re.compile(r"\s*enabled\s+((?:[01]\s*){8})")
_CLASS: Final = re.compile(r"\s*tc:\s*([0-7])\s.*?tsa:\s*(\w+)(?:,\s*bw:\s*(\d{1,3})%)?\s*")
_PRIORITY: Final = re.compile(r"\s*priority:\s*([0-7])\s*")


@dataclass(frozen=True, slots=True)
class TrafficClass:
    """One traffic class. `share` in percent is None for strict and vendor scheduling."""

    number: int
    scheduling: str
    share: int | None
    priorities: tuple[int, ...]


def mlnx_qos(text: str, device: str = "") -> Reading[PortQos]:
    """The QoS of one network device. A table that is cut off is unknown, not short."""
    if "Priority trust state" not in text and "PFC configuration" not in text:
        return nothing_in(text, SOURCE)
    return Known(PortQos(device, _trust(text), _lossless(text), _dscp(text), _shares(text)), SOURCE)


def _trust(text: str) -> Reading[str]:
    match = re.search(r"^\s*Priority trust state:\s*(\S+)", text, re.MULTILINE)
    if match is None:
        return missing("Priority trust state", SOURCE)
    return choice_of(match.group(1), SOURCE, {"dscp": "dscp", "pcp": "pcp", "both": "both"})


def _lossless(text: str) -> Reading[frozenset[int]]:
    match = re.search(rf"^{_ENABLED.pattern}\s*$", text, re.MULTILINE)
    if match is None:
        return missing("the PFC table", SOURCE)
    return Known(frozenset(at for at, bit in enumerate(match.group(1).split()) if bit == "1"), SOURCE)


def _dscp(text: str) -> Reading[Mapping[int, int]]:
    found: dict[int, int] = {}
    for line in text.splitlines():
        if match := _MAP.fullmatch(line):
            for word in match.group(2).replace(" ", "").split(","):
                if word:
                    found[int(word[:4])] = int(match.group(1))
    if set(found) != set(range(64)):
        return Unknown(f"the DSCP map names {len(found)} of 64 values", SOURCE)
    return Known(found, SOURCE)


def _shares(text: str) -> Reading[Mapping[int, float]]:
    classes = traffic_classes(text)
    if any(each.scheduling == "ets" and each.share is None for each in classes):
        return Unknown("a traffic class of ETS shows no bandwidth", SOURCE)
    placed = sorted(priority for each in classes for priority in each.priorities)
    if placed != list(range(8)):
        missing_ones = sorted(set(range(8)) - set(placed))
        return Unknown(f"priorities {missing_ones} are in no traffic class", SOURCE)
    return Known(
        {priority: float(each.share) for each in classes if each.share is not None for priority in each.priorities},
        SOURCE,
    )


def traffic_classes(text: str) -> tuple[TrafficClass, ...]:
    """The `tc:` blocks, as far as they are there."""
    found: list[TrafficClass] = []
    for line in text.splitlines():
        if match := _CLASS.fullmatch(line):
            share = int(match.group(3)) if match.group(3) else None
            found.append(TrafficClass(int(match.group(1)), match.group(2), share, ()))
        elif (match := _PRIORITY.fullmatch(line)) and found:
            last = found[-1]
            found[-1] = TrafficClass(last.number, last.scheduling, last.share, (*last.priorities, int(match.group(1))))
    return tuple(found)
