"""Whether a GPU is held back, from `amd-smi metric`: its `throttle` section (since ROCm 6.3), or `power` before that.

A status is "ACTIVE", "NOT ACTIVE" or "N/A", as a word, a list of one per XCC, or `{"xcp_0": […]}` (with "value" around
it in ROCm 6.4). An idle GPU's clock is below the host's limit for want of work, so `low_utilization` and the totals
that contain it are no violation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.fields import Field
from pdctl.health.parse.json_documents import as_list, as_object
from pdctl.model.reading import Known, Reading, Unknown

VIOLATIONS: Final = ("prochot", "ppt", "socket_thermal", "vr_thermal", "hbm_thermal")
"""Those that every version of the section has: processor hot, package power, and three temperatures."""

_LATER: Final = ("gfx_clk_below_host_limit_power", "gfx_clk_below_host_limit_thermal")


@dataclass(frozen=True, slots=True)
class Throttle:
    """`active`: the violations that are active now. `accumulated`: by violation, how often each was since boot."""

    active: Reading[tuple[str, ...]]
    accumulated: Mapping[str, int]


def read_throttle(gpu: Field) -> Throttle:
    """From one GPU's record of `amd-smi metric`. Known only if every violation of `VIOLATIONS` is."""
    section = gpu["throttle"]
    state = {name: _active(section[f"{name}_violation_status"]) for name in (*VIOLATIONS, *_LATER)}
    accumulated = {}
    for name in VIOLATIONS:
        count = section[f"{name}_accumulated"].count()
        if isinstance(count, Known):
            accumulated[name] = count.value
    active = tuple(name for name, known in state.items() if known)
    if active:
        return Throttle(Known(active, section.source), accumulated)
    unclear = [name for name in VIOLATIONS if state[name] is None]
    if not unclear:
        return Throttle(Known((), section.source), accumulated)
    if len(unclear) == len(VIOLATIONS):
        return Throttle(_by_power(gpu, section), accumulated)
    return Throttle(section.unknown(f"{section.source} does not say of {', '.join(unclear)}"), accumulated)


def _by_power(gpu: Field, section: Field) -> Reading[tuple[str, ...]]:
    """`power.throttle_status`, all that there was before ROCm 6.3; "N/A" on MI300 since."""
    status = gpu["power"]["throttle_status"].text()
    if isinstance(status, Known) and status.value.upper() in {"THROTTLED", "UNTHROTTLED"}:
        return Known(("throttled",) if status.value.upper() == "THROTTLED" else (), status.source)
    return Unknown(section.missing or f"{section.source} shows no violation status", section.source)


def _active(field: Field) -> bool | None:
    """Whether any part says that it is active; None where none says that it is not."""
    words = {word.strip().upper() for word in _words(field.value)}
    if words & {"ACTIVE", "TRUE"}:
        return True
    return False if words & {"NOT ACTIVE", "FALSE"} else None


def _words(value: object) -> Iterator[str]:
    if isinstance(value, bool | str):
        yield from str(value).strip("[]").split(",")
    elif isinstance(value, Mapping):
        for inner in as_object(value).values():
            yield from _words(inner)
    elif isinstance(value, list):
        for inner in as_list(value):
            yield from _words(inner)
