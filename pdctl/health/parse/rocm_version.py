"""ROCm's version: /opt/rocm/.info/version, alone or as `grep . /opt/rocm/.info/*` prints it; and `modinfo amdgpu`."""

from __future__ import annotations

import re

from pdctl.model.reading import Known, Reading, Unknown

_INFO = re.compile(r"^(?:\S*/\.info/version:)?(\d+\.\d+\.\d+\S*)\s*$", re.MULTILINE)
_MODULE = re.compile(r"^version:\s+(\S+)\s*\n", re.MULTILINE)


def parse_rocm_version(text: str, source: str = "/opt/rocm/.info/version") -> Reading[str]:
    """ "6.4.0-47". A line without its end is half a version."""
    found = _INFO.search(text[: text.rfind("\n") + 1])
    return Known(found[1], source) if found else Unknown(f"{source} holds no version but {text[:60]!r}", source)


def parse_module_version(text: str, source: str = "modinfo amdgpu") -> Reading[str]:
    """The driver's own version; the one that comes with the kernel has none."""
    found = _MODULE.search(text)
    if found:
        return Known(found[1], source)
    why = "shows no version: the driver is the kernel's own" if "filename:" in text else f"says {text.strip()[:80]!r}"
    return Unknown(f"{source} {why}", source)
