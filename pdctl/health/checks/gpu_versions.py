"""Versions around GPUs that should be the same on all nodes of a pool: driver, ROCm, firmware, kind, partition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pdctl.health.check import Trait
from pdctl.health.checks.gpu_condition import partition
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Severity
from pdctl.health.gpu_device import Gpu
from pdctl.model.reading import Known, Reading, Unknown


def _node(read: Callable[[NodeFacts], Reading[str]]) -> Callable[[NodeFacts], Mapping[str, Reading[str]]]:
    return lambda facts: {"": read(facts)}


def _gpus(read: Callable[[Gpu], Reading[str]]) -> Callable[[NodeFacts], Mapping[str, Reading[str]]]:
    """One value for all GPUs of a node: what they share, or all that differ."""
    return lambda facts: {"": shared(read(gpu) for gpu in facts.gpu.gpus)}


def shared(readings: Iterable[Reading[str]]) -> Reading[str]:
    """What all say, or the sorted distinct values; unknown where one is: it may be the odd one."""
    values, source = set(), ""
    for reading in readings:
        if isinstance(reading, Unknown):
            return reading
        values.add(reading.value)
        source = source or reading.source
    return Known(", ".join(sorted(values)), source) if values else Unknown("the node shows no GPU")


def _firmware(facts: NodeFacts) -> Mapping[str, Reading[str]]:
    """By firmware, over the GPUs that tell of it."""
    names = sorted({name for gpu in facts.gpu.gpus if isinstance(gpu.firmware, Known) for name in gpu.firmware.value})
    if not names:
        return {"": shared(gpu.firmware for gpu in facts.gpu.gpus if isinstance(gpu.firmware, Unknown))}
    return {name: shared(_version(gpu, name) for gpu in facts.gpu.gpus) for name in names}


def _version(gpu: Gpu, name: str) -> Reading[str]:
    if isinstance(gpu.firmware, Unknown):
        return gpu.firmware
    version = gpu.firmware.value.get(name)
    return (
        Known(version, gpu.firmware.source) if version else Unknown(f"{gpu.name} shows no {name}", gpu.firmware.source)
    )


UPDATE = "install the same amdgpu-dkms and ROCm on all nodes of the pool"
TRAITS = (
    Trait(
        "drift.gpu_driver",
        "same amdgpu driver",
        Severity.WARN,
        ("/sys/module/amdgpu/version", "amd-smi.version", "modinfo.amdgpu"),
        _node(lambda facts: facts.gpu.driver.version),
        pin="gpu.driver",
        fix=UPDATE,
    ),
    Trait(
        "drift.rocm",
        "same ROCm",
        Severity.INFO,
        ("/opt/rocm/.info/version", "amd-smi.version"),
        _node(lambda facts: facts.gpu.driver.rocm),
        pin="rocm",
        fix=UPDATE,
    ),
    Trait(
        "drift.gpu_firmware",
        "same GPU firmware",
        Severity.WARN,
        ("amd-smi.firmware",),
        _firmware,
        fix="update the GPUs' firmware bundle (IFWI) from the vendor, node by node, drained",
    ),
    Trait(
        "drift.gpu_vbios",
        "same VBIOS",
        Severity.INFO,
        ("/sys/bus/pci/drivers/amdgpu/*/vbios_version", "amd-smi.static"),
        _gpus(lambda gpu: gpu.vbios),
        pin="gpu.vbios",
    ),
    Trait(
        "drift.gpu_kind",
        "same kind of GPU",
        Severity.WARN,
        ("/sys/bus/pci/drivers/amdgpu/*/device", "amd-smi.static"),
        _gpus(lambda gpu: gpu.device_id),
    ),
    Trait(
        "drift.gpu_partition",
        "same partition mode",
        Severity.WARN,
        ("/sys/bus/pci/drivers/amdgpu/*/current_compute_partition",),
        _gpus(lambda gpu: partition(gpu.condition.compute_partition, gpu.condition.memory_partition)),
        pin="gpu.partition",
    ),
)
