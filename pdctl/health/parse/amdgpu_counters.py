"""What one GPU has counted, from sysfs: memory errors per RAS block, bad pages, PCIe errors.

`ras/<block>_err_count` holds "ue: 0", "ce: 0" and since Linux 6.9 "de: 0" (deferred). `ras/gpu_vram_bad_pages` has a
line "0x… : 0x1000 : R" per page: R retired, P pending, F could not be reserved (amdgpu_ras.c). `aer_dev_*` ends with
a total.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pdctl.health.parse.amdgpu_files import GpuFiles
from pdctl.health.parse.fields import Field
from pdctl.health.parse.files import pairs
from pdctl.model.reading import Known, Reading, Unknown

_BAD_PAGES = "ras/gpu_vram_bad_pages"
_ERR_COUNT = re.compile(r"ras/(\w+)_err_count")
_PAGE = re.compile(r"0x[0-9a-fA-F]+\s*:\s*0x[0-9a-fA-F]+\s*:\s*([RPF])\Z")


@dataclass(frozen=True, slots=True)
class GpuCounters:
    """Totals since the driver was loaded. `series`: each look at a counter that moves, oldest first, by its name."""

    uncorrectable: Reading[int]
    correctable: Reading[int]
    deferred: Reading[int]
    retired_pages: Reading[int]
    pending_pages: Reading[int]
    unreservable_pages: Reading[int]
    aer_fatal: Reading[int]
    aer_nonfatal: Reading[int]
    aer_correctable: Reading[int]
    series: Mapping[str, tuple[int, ...]]


def read_counters(own: GpuFiles) -> GpuCounters:
    """One device's counters."""
    pages = _pages(own)
    blocks = [pairs(own.at(name)) for name in own.files if _ERR_COUNT.fullmatch(name)]
    aer = {kind: pairs(own.at(f"aer_dev_{kind}")) for kind in ("fatal", "nonfatal", "correctable")}
    return GpuCounters(
        uncorrectable=_errors(own, blocks, "ue"),
        correctable=_errors(own, blocks, "ce"),
        deferred=_errors(own, blocks, "de"),
        retired_pages=pages["R"],
        pending_pages=pages["P"],
        unreservable_pages=pages["F"],
        aer_fatal=aer["fatal"]["TOTAL_ERR_FATAL"].count(),
        aer_nonfatal=aer["nonfatal"]["TOTAL_ERR_NONFATAL"].count(),
        aer_correctable=aer["correctable"]["TOTAL_ERR_COR"].count(),
        series=_series(own),
    )


def _errors(own: GpuFiles, blocks: Sequence[Field], kind: str) -> Reading[int]:
    """Over all blocks. Zero needs every one to be readable; an error in one of them does not."""
    total, unclear, source = 0, None, f"{own.directory}/ras/*_err_count"
    for block in blocks:
        count = block[kind].count()
        if isinstance(count, Unknown):
            unclear = unclear or count
        elif count.value:
            total, source = total + count.value, count.source
    if not blocks:
        return Unknown(f"{own.directory}/ras has no error counts: RAS is off, or this is no GPU that has it", source)
    return Known(total, source) if total or unclear is None else unclear


def _pages(own: GpuFiles) -> Mapping[str, Reading[int]]:
    """By state. A line that is no page leaves all unknown. Without bad pages the file is empty."""
    listed, field = own.files.get(_BAD_PAGES), own.at(_BAD_PAGES)
    if listed is None or listed.error or listed.truncated or (listed.text and not isinstance(field.value, str)):
        return dict.fromkeys("RPF", field.unknown())
    found = dict.fromkeys("RPF", 0)
    for line in listed.text.splitlines():
        page = _PAGE.match(line.strip())
        if page is None:
            return dict.fromkeys("RPF", field.unknown(f"{field.source} has a line that is no page: {line[:60]!r}"))
        found[page[1]] += 1
    return {state: Known(count, field.source) for state, count in found.items()}


def _series(own: GpuFiles) -> Mapping[str, tuple[int, ...]]:
    """Every look at what is judged by what it gains: corrected errors of memory and link."""
    found: dict[str, tuple[int, ...]] = {}
    for name in own.files:
        if (block := _ERR_COUNT.fullmatch(name)) is not None:
            _add(found, f"{block[1]}_ce", _counts(own.series(name), "ce"))
        elif name == "aer_dev_correctable":
            _add(found, "aer_correctable", _counts(own.series(name), "TOTAL_ERR_COR"))
    return found


def _counts(looks: Sequence[Field], key: str) -> list[Reading[int]]:
    """What each look says. Most looks at a counter that does not move are one text, which is parsed once."""
    by_text: dict[str, Reading[int]] = {}
    counts = []
    for look in looks:
        text = str(look.value)
        if text not in by_text:
            by_text[text] = pairs(look)[key].count()
        counts.append(by_text[text])
    return counts


def _add(found: dict[str, tuple[int, ...]], name: str, counts: Sequence[Reading[int]]) -> None:
    """All looks, if every one of them is a number."""
    known = tuple(count.value for count in counts if isinstance(count, Known))
    if known and len(known) == len(counts):
        found[name] = known
