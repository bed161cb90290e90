"""The kernel's log, from `dmesg` (any time format, -x or not), /dev/kmsg or `journalctl -k`, as events that matter.

Only lines that one of `kernel_log_patterns.PATTERNS` knows become events. A continuation of a report (the registers
after "Accelerator Check Architecture events logged") raises its severity where it says so, and is no event of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pdctl.health.parse.kernel_log_patterns import PATTERNS, WORDS, Grade, Pattern
from pdctl.health.parse.pci_address import pci_address

_LEVEL = re.compile(r"^\w+\s*:(\w+)\s*:\s")
_ISO = re.compile(r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d+))?\s*(Z|[+-]\d\d:?\d\d)?\s+")
_SINCE_BOOT = re.compile(r"^\[\s*(\d+\.\d+)\]\s?")
_KMSG = re.compile(r"^\d+,\d+,(\d+),[^;]*;")
_JOURNAL = re.compile(r"^\S+ kernel: ")
_ADDRESS = re.compile(r"\b([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\b", re.IGNORECASE)
_REGISTER = "status=0x"
_ACA_STATUS = re.compile(r"\bSTATUS=0x([0-9a-fA-F]{1,16})\b")
_UNCORRECTED = 1 << 61 | 1 << 57  # MCA_STATUS: UC, PCC


@dataclass(frozen=True, slots=True)
class KernelEvent:
    """One line that matters. `at_s`: the node's wall clock; `since_boot_s` where only that is written; or neither."""

    category: str
    grade: Grade
    what: str
    line: str
    at_s: float | None = None
    since_boot_s: float | None = None
    address: str = ""  # of the PCI device that the line is about


def parse_kernel_log(text: str) -> tuple[KernelEvent, ...]:
    """Events in the order of the log. Never raises; a line that nobody knows is no event."""
    return tuple(_with_registers(_seen(line) for line in _lines(text)))


def first_time(text: str, booted_s: float | None) -> float | None:
    """The wall clock of the first line that has a time: where a log begins of which only the end was kept."""
    for line in text[:8192].splitlines()[1:]:  # the first line may be half a line
        _, at_s, since_boot_s = _split(line)
        if at_s is not None:
            return at_s
        if since_boot_s is not None and booted_s is not None:
            return booted_s + since_boot_s
    return None


def has_times(text: str) -> bool:
    """Whether a text is a kernel log at all: some line of its first ones has a time, of whatever format."""
    return any(_split(line)[1:] != (None, None) for line in text[:16384].splitlines())


@dataclass(frozen=True, slots=True)
class _Seen:
    """A line of the log, taken apart; `event` where a pattern knows it."""

    message: str
    address: str
    event: KernelEvent | None


def _lines(text: str) -> Iterator[str]:
    """The lines that hold a word of any pattern. Whole-text searches for a few dozen words beat any work per line."""
    lower = text.lower()
    if len(lower) != len(text):  # a letter whose small form is two: positions would not hold
        lower = "".join(char.lower() if char.isascii() else char for char in text)
    starts: set[int] = set()
    for word in (*WORDS, _REGISTER):
        at = lower.find(word)
        while at >= 0:
            starts.add(lower.rfind("\n", 0, at) + 1)
            end = lower.find("\n", at)
            at = lower.find(word, end) if end >= 0 else -1
    for start in sorted(starts):
        end = text.find("\n", start)
        yield text[start:] if end < 0 else text[start:end]


def _seen(line: str) -> _Seen:
    message, at_s, since_boot_s = _split(line)
    address = _ADDRESS.search(message)
    about = (pci_address(address[1]) or "") if address else ""
    pattern = _known(message)
    if pattern is None:
        return _Seen(message, about, None)
    event = KernelEvent(pattern.category, pattern.grade, pattern.what, line.strip(), at_s, since_boot_s, about)
    return _Seen(message, about, event)


def _known(message: str) -> Pattern | None:
    lower = message.lower()
    for pattern in PATTERNS:
        if any(word in lower for word in pattern.words) and pattern.regex.search(message):
            return pattern
    return None


def _with_registers(seen: Iterable[_Seen]) -> Iterator[KernelEvent]:
    """Events; one of the accelerator's error banks is fatal if its status register says that it was not corrected."""
    waiting: KernelEvent | None = None
    for each in seen:
        status = _ACA_STATUS.search(each.message)
        if waiting is not None and status and each.address == waiting.address:
            if int(status[1], 16) & _UNCORRECTED:
                waiting = replace(waiting, grade=Grade.FATAL, what=f"{waiting.what}, not corrected")
            continue
        if each.event is None:
            continue
        if waiting is not None:
            yield waiting
        waiting = each.event
    if waiting is not None:
        yield waiting


def _split(line: str) -> tuple[str, float | None, float | None]:
    """The message, the wall clock, and the seconds since boot."""
    rest = _LEVEL.sub("", line.lstrip("\ufeff"))
    if kmsg := _KMSG.match(rest):
        return rest[kmsg.end() :], None, int(kmsg[1]) / 1e6
    if since := _SINCE_BOOT.match(rest):
        return rest[since.end() :], None, float(since[1])
    if iso := _ISO.match(rest):
        return _JOURNAL.sub("", rest[iso.end() :]), _wall(iso), None
    return _JOURNAL.sub("", rest), None, None


def _wall(iso: re.Match[str]) -> float | None:
    zone = (iso[3] or "").replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{iso[1]}.{(iso[2] or '0')[:6]:0<6}{zone}")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
