"""`amd-smi firmware`: the version of every firmware of a GPU. GPUs may come out of order, after a banner."""

from __future__ import annotations

from collections.abc import Mapping

from pdctl.health.parse.amd_smi_rows import rows
from pdctl.health.parse.fields import Field
from pdctl.model.reading import Known, Reading

SOURCE = "amd-smi firmware"


def parse_firmware(text: str) -> Mapping[int, Reading[Mapping[str, str]]]:
    """By amd-smi's index: versions by firmware ("SMU", "VCN"). One that has no version leaves its GPU not known."""
    return {index: _versions(gpu) for index, gpu in rows(text, SOURCE).by_gpu.items()}


def _versions(gpu: Field) -> Reading[Mapping[str, str]]:
    listed = gpu["fw_list"]
    found: dict[str, str] = {}
    for entry in _entries(listed):
        name, version = entry["fw_id"].text(), entry["fw_version"].text()
        if not isinstance(name, Known):
            return listed.unknown(f"{SOURCE} shows a firmware of {gpu.path} without its name")
        if isinstance(version, Known):
            found[name.value.upper()] = version.value
    return Known(found, SOURCE) if found else listed.unknown()


def _entries(listed: Field) -> tuple[Field, ...]:
    """A list in JSON; in text "FW 0:", "FW 1:", each with its own block."""
    return listed.elements() or tuple(entry for name, entry in listed.items() if name.lower().startswith("fw"))
