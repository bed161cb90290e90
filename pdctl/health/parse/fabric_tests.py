"""What tests over the fabric print: perftest's `ib_write_bw` and `ib_write_lat`, `ibv_rc_pingpong`, rccl-tests.

A run that was cut off, crashed or moved no data is unknown, whatever its exit status was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.text_values import nothing_in, number_of
from pdctl.model.reading import Known, Reading, Unknown

_BANDWIDTH_HEAD: Final = re.compile(r"#bytes\s+#iterations\s+BW peak\[([^\]]+)\]\s+BW average\[([^\]]+)\]\s+MsgRate\[")
_LATENCY_HEAD: Final = re.compile(
    r"#bytes\s+#iterations\s+t_min\[usec\]\s+t_max\[usec\]\s+t_typical\[usec\]\s+t_avg\[usec\]"
)
_TO_GBPS: Final = {"Gb/sec": 1.0, "MB/sec": 8 * (1 << 20) / 1e9, "MiB/sec": 8 * (1 << 20) / 1e9}
_PINGPONG: Final = re.compile(
    r"(\d{1,15}) bytes in (\d{1,9}(?:\.\d+)?) seconds = (\d{1,9}(?:\.\d+)?) Mbit/sec\s*\n"
    r"(\d{1,12}) iters in (\d{1,9}(?:\.\d+)?) seconds = (\d{1,9}(?:\.\d+)?) usec/iter"
)
_AVERAGE: Final = re.compile(r"^# Avg bus bandwidth\s*:\s*(\S+)\s*$", re.MULTILINE)
_WRONG: Final = re.compile(r"^# (?:Out of bounds values|Errors)\s*:\s*(\d{1,9})\b(?:\s+(\w+))?", re.MULTILINE)
_FAILURE: Final = re.compile(
    r"^(?:Couldn't|Unable to|Failed to|.*\bfailed:|.*Failed status|.*Unable to (?:init|open|create|Connect)).*$",
    re.MULTILINE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """The largest message of an `ib_write_bw` run. Rates in Gb/s (10**9 bit); `mtu_bytes` unknown in short output."""

    message_bytes: int
    peak_gbps: float
    average_gbps: float


@dataclass(frozen=True, slots=True)
class Pingpong:
    """`ibv_rc_pingpong`: bytes moved both ways, and the time of one exchange in microseconds."""

    bytes: int
    mbit_per_s: float
    usec_per_iteration: float


def ib_write_bw(text: str) -> Reading[Bandwidth]:
    """The row with the most bytes of `ib_write_bw`, whichever unit it reports in (--report_gbits or not)."""
    source = "ib_write_bw"
    head = _BANDWIDTH_HEAD.search(text)
    rows = [] if head is None else _rows(text[head.end() :], 5)
    if head is None or not rows:
        return _failed(text, source)
    factor = _TO_GBPS.get(head.group(2))
    if factor is None or head.group(1) != head.group(2):
        return Unknown(f"its unit {head.group(2)[:20]!r} is not one we know", source)
    words = max(rows, key=lambda row: row[0])
    if words[3] <= 0 or words[2] < words[3] * 0.999:
        return Unknown(f"its peak {words[2]} and average {words[3]} cannot both be", source)
    return Known(Bandwidth(int(words[0]), words[2] * factor, words[3] * factor), source)


def ib_write_lat(text: str) -> Reading[float]:
    """Microseconds: the typical latency of the smallest message of `ib_write_lat`."""
    source = "ib_write_lat"
    head = _LATENCY_HEAD.search(text)
    rows = [] if head is None else _rows(text[head.end() :], 6)
    if not rows:
        return _failed(text, source)
    words = min(rows, key=lambda row: row[0])
    if not 0 < words[2] <= words[4] <= words[3]:
        return Unknown(f"its least {words[2]}, typical {words[4]} and most {words[3]} cannot all be", source)
    return Known(words[4], source)


def ibv_rc_pingpong(text: str) -> Reading[Pingpong]:
    """Both result lines have to be there. Seconds are printed to two digits, so they say nothing of a short run."""
    source = "ibv_rc_pingpong"
    match = _PINGPONG.search(text)
    if match is None:
        return _failed(text, source)
    moved, rate = int(match.group(1)), float(match.group(3))
    if not moved or not rate:
        return Unknown("it moved nothing", source)
    return Known(Pingpong(moved, rate, float(match.group(6))), source)


def rccl_bus_bandwidth(text: str) -> Reading[float]:
    """GB/s: "Avg bus bandwidth" of rccl-tests. Unknown where it found wrong values or did not end by itself."""
    source = "rccl-tests"
    average = _AVERAGE.search(text)
    wrong = _WRONG.search(text)
    if average is None:
        return _failed(text, source)
    if wrong is None:
        return Unknown("it does not say whether its results were right", source)
    if wrong.group(1) != "0" or (wrong.group(2) or "OK").upper() != "OK":
        return Unknown(f"{wrong.group(1)} of its results were wrong", source)
    return number_of(average.group(1), source)


def _rows(text: str, least: int) -> list[tuple[float, ...]]:
    """Whole rows of numbers: the ones that a line end follows, so that no figure is cut short."""
    found = []
    for line in text.splitlines(keepends=True):
        words = [number_of(word, "") for word in line.split()]
        numbers = tuple(word.value for word in words if isinstance(word, Known))
        if line.endswith("\n") and len(numbers) >= least and len(numbers) == len(words):
            found.append(numbers)
    return found


def _failed(text: str, source: str) -> Unknown:
    """Why there is no result: the first line that speaks of a failure, else the first line."""
    failure = _FAILURE.search(text)
    return Unknown(f"it says {failure.group().strip()[:100]!r}", source) if failure else nothing_in(text, source)
