"""`amd-smi static`: what a GPU is, and its limits.

Keys that moved: power limits lie in `limit.{max_power,socket_power}` (ROCm 6) or in `limit.ppt0.{max_power_limit,…}`
(ROCm 7); `vbios` became `ifwi`, `compute_partition` `accelerator_partition`, `max_pcie_lanes` `max_pcie_width`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.health.parse.amd_smi_rows import rows
from pdctl.health.parse.fields import Field
from pdctl.health.parse.pci_address import read_address
from pdctl.model.reading import Reading

SOURCE = "amd-smi static"


@dataclass(frozen=True, slots=True)
class StaticGpu:
    """One logical GPU's constants."""

    index: int
    address: Reading[str]
    market_name: Reading[str]
    device_id: Reading[str]  # "0x74a1"
    vram_bytes: Reading[int]
    power_cap_w: Reading[float]
    power_max_w: Reading[float]
    slowdown_hotspot_c: Reading[float]
    slowdown_memory_c: Reading[float]
    max_link_gts: Reading[float]
    max_link_width: Reading[int]
    vbios: Reading[str]
    driver: Reading[str]
    compute_partition: Reading[str]
    memory_partition: Reading[str]
    bad_page_threshold: Reading[int]
    bad_page_threshold_exceeded: Reading[bool]


def parse_static(text: str) -> Mapping[int, StaticGpu]:
    """By amd-smi's index; JSON or text of any version. A GPU that is not shown is not in it."""
    found = rows(text, SOURCE)
    return {index: static_gpu(index, gpu) for index, gpu in found.by_gpu.items()}


def static_gpu(index: int, gpu: Field) -> StaticGpu:
    """From one GPU's record; all unknown from a missing one."""
    asic, bus, limit, ras = gpu["asic"], gpu["bus"], gpu["limit"], gpu["ras"]
    power = limit["ppt0"] if not limit["ppt0"].missing else limit
    board = gpu.any_of("ifwi", "vbios")
    partition = gpu["partition"]
    return StaticGpu(
        index=index,
        address=read_address(bus["bdf"]),
        market_name=asic["market_name"].text(),
        device_id=asic["device_id"].text(),
        vram_bytes=gpu["vram"]["size"].size_bytes(),
        power_cap_w=power.any_of("socket_power_limit", "socket_power", "current_power").watts(),
        power_max_w=power.any_of("max_power_limit", "max_power").watts(),
        slowdown_hotspot_c=limit["slowdown_hotspot_temperature"].celsius(),
        slowdown_memory_c=limit["slowdown_vram_temperature"].celsius(),
        max_link_gts=bus["max_pcie_speed"].gt_per_s(),
        max_link_width=bus.any_of("max_pcie_width", "max_pcie_lanes").count(),
        vbios=board.any_of("part_number", "version").text(),
        driver=gpu["driver"].any_of("version", "driver_version").text(),
        compute_partition=partition.any_of("accelerator_partition", "compute_partition").text(),
        memory_partition=partition["memory_partition"].text(),
        bad_page_threshold=ras["bad_page_threshold"].count(),
        bad_page_threshold_exceeded=ras["bad_page_threshold_exceeded"].flag(),
    )
