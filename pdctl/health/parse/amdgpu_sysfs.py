"""One GPU as its driver shows it in sysfs, below /sys/bus/pci/drivers/amdgpu/<address>. Bytes, celsius, watts, GT/s."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.health.envelope import Envelope
from pdctl.health.parse.amdgpu_counters import GpuCounters, read_counters
from pdctl.health.parse.amdgpu_files import GpuFiles, gpu_files
from pdctl.health.parse.fields import Field
from pdctl.model.reading import Known, Reading, Unknown

_SENSOR = re.compile(r"hwmon/hwmon\d+/temp\d+_label")
_MICROWATTS = {"uw": 1e-6}
_MILLIDEGREES = {"mc": 1e-3}


@dataclass(frozen=True, slots=True)
class SysfsGpu:
    """What files said. `vram_used_bytes` is the lowest of the samples; a sensor's limit is hwmon's "crit"."""

    address: str
    device_id: Reading[str]
    unique_id: Reading[str]
    vram_total_bytes: Reading[int]
    vram_used_bytes: Reading[int]
    hotspot_c: Reading[float]
    memory_c: Reading[float]
    hotspot_limit_c: Reading[float]
    memory_limit_c: Reading[float]
    power_cap_w: Reading[float]
    power_max_w: Reading[float]
    perf_level: Reading[str]
    runtime_status: Reading[str]
    link_gts: Reading[float]
    link_width: Reading[int]
    max_link_gts: Reading[float]
    max_link_width: Reading[int]
    compute_partition: Reading[str]
    memory_partition: Reading[str]
    numa_node: Reading[str]
    vbios: Reading[str]
    xgmi_hive: Reading[str]
    firmware: Mapping[str, str]
    counters: GpuCounters


def parse_amdgpu(envelope: Envelope) -> Mapping[str, SysfsGpu]:
    """By address, every device that amdgpu drives, in order. What does not exist is unknown, with its path."""
    return {address: sysfs_gpu(own) for address, own in gpu_files(envelope).items()}


def sysfs_gpu(own: GpuFiles) -> SysfsGpu:
    """From one device's files; all unknown without any."""
    at = own.at
    hotspot, memory, power = _sensor(own, "junction"), _sensor(own, "mem"), _hwmon(own)
    return SysfsGpu(
        address=own.address,
        device_id=at("device").text(),
        unique_id=at("unique_id").text(),
        vram_total_bytes=at("mem_info_vram_total").size_bytes(bare="b"),
        vram_used_bytes=_lowest(own),
        hotspot_c=_celsius(at(f"{hotspot}_input")),
        memory_c=_celsius(at(f"{memory}_input")),
        hotspot_limit_c=_celsius(at(f"{hotspot}_crit")),
        memory_limit_c=_celsius(at(f"{memory}_crit")),
        power_cap_w=at(f"{power}/power1_cap").quantity(_MICROWATTS, bare="uw", most=10_000),
        power_max_w=at(f"{power}/power1_cap_max").quantity(_MICROWATTS, bare="uw", most=10_000),
        perf_level=at("power_dpm_force_performance_level").text(),
        runtime_status=at("power/runtime_status").text(),
        link_gts=at("current_link_speed").gt_per_s(),
        link_width=at("current_link_width").count(),
        max_link_gts=at("max_link_speed").gt_per_s(),
        max_link_width=at("max_link_width").count(),
        compute_partition=at("current_compute_partition").text(),
        memory_partition=at("current_memory_partition").text(),
        numa_node=at("numa_node").text(),
        vbios=at("vbios_version").text(),
        xgmi_hive=at("xgmi_hive_info/xgmi_hive_id").text(),
        firmware=_firmware(own),
        counters=read_counters(own),
    )


def _celsius(field: Field) -> Reading[float]:
    """hwmon's millidegrees."""
    return field.quantity(_MILLIDEGREES, bare="mc", least=0.1, most=200)


def _lowest(own: GpuFiles) -> Reading[int]:
    """The lowest of all looks at the memory in use: what is idle shows so in one of them. All have to be readable."""
    lowest: Known[int] | None = None
    for look in own.looks("mem_info_vram_used"):
        size = look.size_bytes(bare="b")
        if isinstance(size, Unknown):
            return size
        if lowest is None or size.value < lowest.value:
            lowest = size
    return lowest or own.at("mem_info_vram_used").unknown()


def _hwmon(own: GpuFiles) -> str:
    """ "hwmon/hwmon3", the one that has a power limit."""
    return next((name.rpartition("/")[0] for name in own.files if name.endswith("/power1_cap")), "hwmon/hwmon*")


def _sensor(own: GpuFiles, label: str) -> str:
    """ "hwmon/hwmon3/temp2" of the sensor with that label."""
    for name in own.files:
        if _SENSOR.fullmatch(name):
            shown = own.at(name).text()
            if isinstance(shown, Known) and shown.value == label:
                return name.removesuffix("_label")
    return f"hwmon/hwmon*/temp*({label})"


def _firmware(own: GpuFiles) -> Mapping[str, str]:
    found = {}
    for name in own.files:
        if name.startswith("fw_version/"):
            version = own.at(name).text()
            if isinstance(version, Known):
                found[name.removeprefix("fw_version/").removesuffix("_fw_version").upper()] = version.value
    return found
