"""`amd-smi version`: of the tool, of ROCm, of the driver. A driver of the kernel's own prints the kernel's banner."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pdctl.health.parse.fields import Field
from pdctl.health.parse.json_documents import records
from pdctl.model.reading import Known, Reading, Unknown

SOURCE = "amd-smi version"
_VERSION = re.compile(r"\d+\.\d+[\w.+-]{0,40}")
_KEYS = {
    "amdsmi tool": "version",
    "amdsmi library version": "amdsmi_library_version",
    "rocm version": "rocm_version",
    "amdgpu version": "amdgpu_version",
}


@dataclass(frozen=True, slots=True)
class Versions:
    """`driver` is amdgpu's own version; unknown with the driver that comes with the kernel, which has none."""

    tool: Reading[str]
    rocm: Reading[str]
    driver: Reading[str]


def parse_version(text: str) -> Versions:
    """JSON, or "AMDSMI Tool: … | ROCm version: …" on one line; the first line, where several commands were run."""
    rows, documents = records(text)
    fields = Field(dict(rows[0]), SOURCE) if rows else _from_text(text, documents.why_empty)
    return Versions(
        tool=_version(fields["version"]),
        rocm=_version(fields["rocm_version"]),
        driver=_version(fields["amdgpu_version"]),
    )


def _from_text(text: str, why: str) -> Field:
    for line in text[: text.rfind("\n") + 1].splitlines():
        parts = dict(part.strip().partition(": ")[::2] for part in line.split(" | "))
        found = {_KEYS[key.lower()]: value for key, value in parts.items() if key.lower() in _KEYS}
        if found:
            return Field(found, SOURCE)
    return Field(None, SOURCE, "", f"{SOURCE}: {why}")


def _version(field: Field) -> Reading[str]:
    word = field.text()
    if isinstance(word, Unknown):
        return word
    if word.value.lower().startswith("linux"):
        return field.unknown(f"{SOURCE} says {word.value[:40]!r}: the driver is the kernel's own, without a version")
    return Known(word.value, SOURCE) if _VERSION.fullmatch(word.value) else field.unknown()
