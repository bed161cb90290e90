"""Small files and listings of the kernel: command line, module lists, `modinfo`, choices in brackets, build options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pdctl.health.parse.text_values import colon_lines, nothing_in, text_of
from pdctl.model.reading import Known, Reading, Unknown

_CHOICE: Final = re.compile(r"\[([\w-]+)\]")
_MODULE: Final = re.compile(r"^([a-z0-9_]{2,})\s+\d+\s+\d+\b", re.MULTILINE)
_LOAD_STATES: Final = ("loaded", "not-found", "masked", "error", "bad-setting")
_OPTION: Final = re.compile(r"^(CONFIG_\w+)=(\S+)\s*$", re.MULTILINE)


def cmdline(text: str) -> Reading[Mapping[str, str]]:
    """/proc/cmdline as parameters; one without a value is "". Of one given twice the last counts, as for the kernel."""
    source = "/proc/cmdline"
    words = re.findall(r'(?:[^\s"]|"[^"]*")+', text)
    if not words:
        return nothing_in(text, source)
    found: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        found[key] = value.strip('"')
    return Known(found, source)


def bracketed(text: str, source: str) -> Reading[str]:
    """The chosen word of `always [madvise] never`."""
    found = _CHOICE.findall(text)
    return Known(str(found[0]), source) if len(found) == 1 else nothing_in(text, source)


def lsmod(text: str) -> Reading[frozenset[str]]:
    """Names of loaded modules, of `lsmod` or /proc/modules."""
    source = "lsmod"
    found = frozenset(_MODULE.findall(text))
    return Known(found, source) if found else nothing_in(text, source)


def modinfo(text: str) -> Reading[Mapping[str, tuple[str, ...]]]:
    """`modinfo NAME`: values by field; `firmware`, `alias` and `parm` stand many times."""
    source = "modinfo"
    found: dict[str, tuple[str, ...]] = {}
    for line in colon_lines(text):
        if re.fullmatch(r"[a-z_]+", line.key):
            found[line.key] = (*found.get(line.key, ()), line.value)
    return Known(found, source) if "filename" in found else nothing_in(text, source)


def modinfo_field(info: Reading[Mapping[str, tuple[str, ...]]], field: str) -> Reading[str]:
    """The only value of a field ("version", "srcversion"); an in-box module has no version."""
    if isinstance(info, Unknown):
        return info
    values = info.value.get(field, ())
    return text_of(values[0], info.source) if len(values) == 1 else Unknown(f"it has no {field}", info.source)


def kernel_config(text: str) -> Reading[Mapping[str, str]]:
    """Lines of /boot/config-*: `CONFIG_DMABUF_MOVE_NOTIFY=y`. An option that is off is not in it."""
    found = dict(_OPTION.findall(text))
    return Known(found, "/boot/config") if found else nothing_in(text, "/boot/config")


def kernel_version(release: str) -> Reading[tuple[int, int]]:
    """(6, 8) of "6.8.0-51-generic"."""
    match = re.match(r"(\d{1,3})\.(\d{1,3})", release)
    if match is None:
        return Unknown(f"{release[:40]!r} is no kernel release", "uname")
    return Known((int(match.group(1)), int(match.group(2))), "uname")


def failed_units(text: str) -> Reading[tuple[str, ...]]:
    """Unit names of `systemctl --failed --plain`. It counts them at its end; without that count it was cut off."""
    source = "systemctl --failed"
    counted = re.search(r"^(\d{1,5}) loaded units listed", text, re.MULTILINE)
    names = tuple(
        words[0]
        for line in text.splitlines()
        if len(words := line.replace("●", " ").split()) >= 4 and "." in words[0] and words[1] in _LOAD_STATES
    )
    if counted is None:
        return nothing_in(text, source)
    if int(counted.group(1)) != len(names):
        return Unknown(f"it counts {counted.group(1)} units and lists {len(names)}", source)
    return Known(names, source)
