"""Whether a node's GPU driver is there, answers in time, and lets this login in; and which versions run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.health.envelope import Envelope
from pdctl.health.gpu_amd_smi import LIST, AmdSmi
from pdctl.health.gpu_sources import first
from pdctl.health.outputs import output
from pdctl.health.parse.files import file_field
from pdctl.health.parse.rocm_version import parse_module_version, parse_rocm_version
from pdctl.model.reading import Known, Reading, Unknown

INITSTATE = "/sys/module/amdgpu/initstate"
KFD = "/dev/kfd"
ROCM = "/opt/rocm/.info/version"


@dataclass(frozen=True, slots=True)
class Driver:
    """`opened`: by device file, "" where it can be opened for reading and writing, else errno's name.

    `denied`: what amd-smi says of missing rights. `answer_s`: how long `amd-smi list` took, or why that is not known;
    `hung`: it did not answer at all.
    """

    initstate: Reading[str]
    version: Reading[str]
    rocm: Reading[str]
    opened: Mapping[str, str]
    denied: str
    answer_s: Reading[float]
    hung: bool


def read_driver(envelope: Envelope, amd_smi: AmdSmi) -> Driver:
    """From one envelope. Never raises."""
    rocm = envelope.files.get(ROCM)
    module = output(envelope, "modinfo.amdgpu")
    asked = envelope.items.get(LIST)
    return Driver(
        initstate=file_field(envelope.files, INITSTATE).text(),
        version=first(
            file_field(envelope.files, "/sys/module/amdgpu/version").text(),
            amd_smi.versions.driver,
            module if isinstance(module, Unknown) else parse_module_version(module.value),
        ),
        rocm=first(
            parse_rocm_version(rocm.text, ROCM) if rocm and not rocm.error else Unknown(f"{ROCM} cannot be read", ROCM),
            amd_smi.versions.rocm,
        ),
        opened={path: file.error for path, file in envelope.files.items() if path == KFD or _is_render(path)},
        denied=amd_smi.listing.denied,
        answer_s=_answer(envelope),
        hung=asked is not None and asked.timed_out,
    )


def _is_render(path: str) -> bool:
    return path.startswith("/dev/dri/renderD")


def _answer(envelope: Envelope) -> Reading[float]:
    asked = envelope.items.get(LIST)
    if asked is None:
        return Unknown(f"{LIST} was not collected", LIST)
    if asked.timed_out or asked.status is not None:
        return Known(asked.seconds, LIST)
    return Unknown(asked.refused or "it did not run", LIST)
