"""`amd-smi list|version|static|metric|process|topology|firmware [-g ID...] [--json]` in the shapes of ROCm 7."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from pdctl.sim.standins import facts
from pdctl.sim.standins.facts import Gpu

MIB = 1 << 20


def value(number: object, unit: str) -> dict[str, object]:
    return {"value": number, "unit": unit}


def listed(gpu: Gpu) -> dict[str, Any]:
    return {
        "gpu": gpu.number,
        "bdf": gpu.bdf,
        "uuid": gpu.uuid,
        "kfd_id": gpu.kfd_id,
        "node_id": gpu.number + 2,
        "partition_id": 0,
    }


def static(gpu: Gpu) -> dict[str, Any]:
    return {
        "gpu": gpu.number,
        "asic": {
            "market_name": "AMD Instinct MI300X",
            "vendor_id": "0x1002",
            "vendor_name": "Advanced Micro Devices Inc. [AMD/ATI]",
            "subvendor_id": "0x1002",
            "device_id": "0x74a1",
            "subsystem_id": "0x74a1",
            "rev_id": "0x00",
            "asic_serial": gpu.serial,
            "oam_id": gpu.number,
            "num_compute_units": 304,
            "target_graphics_version": "gfx942",
        },
        "bus": {
            "bdf": gpu.bdf,
            "max_pcie_width": 16,
            "max_pcie_speed": value(32, "GT/s"),
            "pcie_interface_version": "Gen 5",
            "slot_type": "OAM",
        },
        "ifwi": {
            "name": "SIMULATED MI300X",
            "build_date": "2025/01/01 00:00",
            "part_number": "113-SIM0000-100",
            "version": "022.040.003.042.000001",
        },
        "limit": {
            "ppt0": {
                "max_power_limit": value(750, "W"),
                "min_power_limit": value(0, "W"),
                "socket_power_limit": value(750, "W"),
            },
            "ppt1": {"max_power_limit": "N/A", "min_power_limit": "N/A", "socket_power_limit": "N/A"},
            "slowdown_edge_temperature": "N/A",
            "slowdown_hotspot_temperature": value(100, "C"),
            "slowdown_vram_temperature": value(105, "C"),
            "shutdown_edge_temperature": "N/A",
            "shutdown_hotspot_temperature": value(110, "C"),
            "shutdown_vram_temperature": value(115, "C"),
        },
        "driver": {"name": "amdgpu", "version": facts.AMDGPU_VERSION},
        "vram": {
            "type": "HBM3",
            "vendor": "SIMULATED",
            "size": value(facts.VRAM_TOTAL_BYTES // MIB, "MB"),
            "bit_width": 8192,
            "max_bandwidth": value(5300, "GB/s"),
        },
        "ras": {"eeprom_version": "0x30000", "bad_page_threshold": 128, "bad_page_threshold_exceeded": False},
        "partition": {
            "accelerator_partition": "SPX",
            "memory_partition": "NPS1",
            "accelerator_partition_profile_id": 0,
        },
        "process_isolation": "Disabled",
        "numa": {"node": gpu.numa, "affinity": gpu.numa},
    }


def metric(gpu: Gpu) -> dict[str, Any]:
    busy = bool(gpu.processes)
    counts = {f"total_{kind}_count": 0 for kind in ("correctable", "uncorrectable", "deferred")}
    counts["total_uncorrectable_count"] = gpu.uncorrectable
    total, used = facts.VRAM_TOTAL_BYTES // MIB, gpu.used_bytes // MIB
    return {
        "gpu": gpu.number,
        "usage": {
            "gfx_activity": value(60 if busy else 0, "%"),
            "umc_activity": value(35 if busy else 0, "%"),
            "mm_activity": "N/A",
        },
        "power": {
            "socket_power": value((430 if busy else 138) + facts.draw("power", gpu.number, bits=3), "W"),
            "gfx_voltage": "N/A",
            "soc_voltage": "N/A",
            "mem_voltage": "N/A",
            "throttle_status": "UNTHROTTLED",
            "power_management": "ENABLED",
        },
        "temperature": {
            "edge": "N/A",
            "hotspot": value((58 if busy else 39) + facts.draw("heat", gpu.number, bits=2), "C"),
            "mem": value((50 if busy else 33) + facts.draw("heat", gpu.number, bits=2), "C"),
        },
        "pcie": {
            "width": 16,
            "speed": value(32, "GT/s"),
            "bandwidth": value(0, "Mb/s"),
            "replay_count": 0,
            "l0_to_recovery_count": 0,
            "replay_roll_over_count": 0,
            "nak_sent_count": 0,
            "nak_received_count": 0,
        },
        "ecc": {**counts, "cache_correctable_count": 0, "cache_uncorrectable_count": 0},
        "perf_level": "AMDSMI_DEV_PERF_LEVEL_AUTO",
        "xgmi_err": "AMDSMI_XGMI_STATUS_NO_ERRORS",
        "mem_usage": {
            "total_vram": value(total, "MB"),
            "used_vram": value(used, "MB"),
            "free_vram": value(total - used, "MB"),
        },
    }


def process(gpu: Gpu) -> dict[str, Any]:
    if not gpu.processes:
        return {"gpu": gpu.number, "process_list": [{"process_info": "No running processes detected"}]}
    infos = [
        {
            "name": "python3",
            "pid": pid,
            "memory_usage": {"gtt_mem": value(0, "B"), "cpu_mem": value(0, "B"), "vram_mem": value(used, "B")},
            "mem_usage": value(used, "B"),
            "usage": {"gfx": value(0, "ns"), "enc": value(0, "ns")},
            "cu_occupancy": "N/A",
        }
        for pid, used in gpu.processes
    ]
    return {"gpu": gpu.number, "process_list": [{"process_info": info} for info in infos]}


def topology(gpu: Gpu) -> dict[str, Any]:
    links = []
    for other, bus in enumerate(facts.PCI_BUSES):
        same = other == gpu.number
        links.append(
            {
                "gpu": other,
                "bdf": f"0000:{bus:02x}:00.0",
                "weight": 0 if same else 15,
                "link_status": "ENABLED",
                "link_type": "SELF" if same else "XGMI",
                "num_hops": 0 if same else 1,
                "bandwidth": "N/A" if same else "50000-100000",
            }
        )
    return {"gpu": gpu.number, "bdf": gpu.bdf, "links": links}


def firmware(gpu: Gpu) -> dict[str, Any]:
    versions = {"SMU": gpu.firmware, "SDMA0": "24", "VCN": "09.11.80.0C", "PSP_SOSDRV": "00.36.02.4B"}
    return {"gpu": gpu.number, "fw_list": [{"fw_id": name, "fw_version": text} for name, text in versions.items()]}


def bad_pages(gpu: Gpu) -> dict[str, Any]:
    return {"gpu": gpu.number, **dict.fromkeys(("retired", "pending", "un_res"), "No bad pages found.")}


def version() -> list[dict[str, str]]:
    return [
        {
            "tool": "AMDSMI Tool",
            "version": "26.2.0+sim",
            "amdsmi_library_version": "26.2.0",
            "rocm_version": facts.ROCM_VERSION,
            "amdgpu_version": facts.AMDGPU_VERSION,
            "amd_hsmp_driver_version": "N/A",
        }
    ]


PER_GPU: dict[str, tuple[Callable[[Gpu], dict[str, Any]], bool]] = {
    "list": (listed, False),
    "static": (static, True),
    "metric": (metric, True),
    "process": (process, False),
    "topology": (topology, False),
    "firmware": (firmware, False),
    "bad-pages": (bad_pages, False),
}
"""Subcommand -> what it says of one GPU, and whether ROCm 7 wraps the list as {"gpu_data": [...]}."""


def as_text(item: object, indent: int = 0) -> str:
    """amd-smi's human form: upper-case keys, four spaces a level, a value with its unit on one line."""
    pad = " " * (4 * indent)
    if not isinstance(item, dict):
        return f"{pad}{item}\n"
    out = ""
    for key, inner in item.items():
        if isinstance(inner, dict) and set(inner) == {"value", "unit"}:
            out += f"{pad}{key.upper()}: {inner['value']} {inner['unit']}\n"
        elif isinstance(inner, (dict, list)):
            out += f"{pad}{key.upper()}:\n"
            out += "".join(as_text(part, indent + 1) for part in (inner if isinstance(inner, list) else [inner]))
        else:
            out += f"{pad}{key.upper()}: {inner}\n"
        indent += key == "gpu"
        pad = " " * (4 * indent)
    return out


def run(argv: Sequence[str], gpus: Sequence[Gpu] | None = None) -> tuple[str, int]:
    """The output of `amd-smi argv...` and its exit status; of this node's GPUs where none are given."""
    command = argv[0] if argv else "list"
    if command == "version":
        text = version()[0]
        line = f"AMDSMI Tool: {text['version']} | AMDSMI Library version: {text['amdsmi_library_version']} | "
        line += f"ROCm version: {text['rocm_version']} | amdgpu version: {text['amdgpu_version']}\n"
        return (json.dumps(version(), indent=4) + "\n" if "--json" in argv else line), 0
    if command not in PER_GPU:
        return f"amd-smi: the simulated tool does not know {command!r}\n", 2
    describe, wrapped = PER_GPU[command]
    present = facts.gpus() if gpus is None else gpus
    items = [describe(gpu) for gpu in present if gpu.number in wanted(argv)]
    if command == "topology":
        numbers = {gpu.number for gpu in present}
        for item in items:
            item["links"] = [link for link in item["links"] if link["gpu"] in numbers]
    if "--json" not in argv:
        return "\n".join(as_text(item) for item in items), 0
    return json.dumps({"gpu_data": items} if wrapped else items, indent=4) + "\n", 0


def wanted(argv: Sequence[str]) -> set[int]:
    """The GPUs that `-g` names; all without it."""
    for option in ("-g", "--gpu"):
        if option in argv:
            rest = argv[argv.index(option) + 1 :]
            named = {int(word) for word in rest if word.isdigit()}
            return named or set(range(facts.GPU_COUNT))
    return set(range(facts.GPU_COUNT))


def main() -> None:
    text, status = run(sys.argv[1:])
    (sys.stdout if status == 0 else sys.stderr).write(text)
    sys.exit(status)
