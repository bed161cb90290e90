"""A profile's constants as text, with their letters in the step equation, units and error bars."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pdctl.perf.profile import Profile
from pdctl.perf.step_time import StepConstants
from pdctl.text.escape import one_line

UNITS = {
    "decode_s": ("d", 1e3, "ms"),
    "decode_per_seq_s": ("e", 1e3, "ms a sequence"),
    "decode_per_context_token_s": ("f", 1e9, "ns a context token"),
    "prefill_s": ("a", 1e3, "ms"),
    "prefill_per_token_s": ("b", 1e6, "us a token of the fullest rank"),
    "prefill_per_token_of_all_s": ("bs", 1e6, "us a token of all ranks"),
    "landed_per_token_s": ("g", 1e6, "us a token landed"),
    "front_s": ("front", 1e3, "ms"),
    "proxy_s": ("proxy", 1e3, "ms"),
}


def constants(profile: Profile) -> Iterator[str]:
    """A profile's constants, those that were fitted with their error bars."""
    gpu = one_line(profile.gpu) or "a GPU that is not named (--gpu)"
    yield f"{profile.name}: {one_line(profile.model) or 'a model that is not named'} on {gpu}"
    yield f"  source: {one_line(profile.source)}"
    yield f"  fitted on: {one_line(profile.fitted_on)}; {len(profile.factors)} free constants"
    values = {name: getattr(profile.constants, name) for name in StepConstants.__slots__}
    for name, value in (values | {"proxy_s": profile.transfer.proxy_s}).items():
        letter, scale, unit = UNITS[name]
        if value:
            yield f"  {letter:5} {value * scale:9.4g} {unit:32} {_bar(profile.factors.get(name))}"


def _bar(factor: float | None) -> str:
    if factor is None:
        return "given, not fitted"
    return f"x/ {factor:.2f}" if math.isfinite(factor) else "not told by the runs"
