"""A node on which every GPU check fails: each fault on a GPU of its own, and in every source that tells of it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pdctl.health.envelope import Envelope
from pdctl.sim.standins.host import Shape
from tests.unit.gpu_nodes import planted
from tests.unit.health_nodes import WALL_S, changed

GPU = "/sys/bus/pci/drivers/amdgpu/0000:{}:00.0/{}"
FILES = {
    GPU.format("1b", "ras/umc_err_count"): "ue: 3\nce: 9\nde: 2\n",
    GPU.format("1b", "ras/gpu_vram_bad_pages"): "0x00a1b2c3 : 0x00001000 : P\n",
    GPU.format("3d", "hwmon/hwmon4/temp2_input"): "103000\n",
    GPU.format("3d", "hwmon/hwmon4/temp3_input"): "97000\n",
    GPU.format("3d", "hwmon/hwmon4/power1_cap"): "600000000\n",
    GPU.format("3d", "power_dpm_force_performance_level"): "manual\n",
    GPU.format("3d", "power/runtime_status"): "suspended\n",
    GPU.format("4e", "current_link_speed"): "16.0 GT/s PCIe\n",
    GPU.format("4e", "current_link_width"): "8\n",
    GPU.format("4e", "aer_dev_fatal"): "DLP 1\nTOTAL_ERR_FATAL 1\n",
    GPU.format("4e", "aer_dev_nonfatal"): "DLP 1\nTOTAL_ERR_NONFATAL 2\n",
    GPU.format("5f", "current_compute_partition"): "CPX\n",
    GPU.format("5f", "mem_info_vram_total"): f"{64 << 30}\n",
    GPU.format("9d", "mem_info_vram_used"): f"{100 << 30}\n",
}
QUIET = {f"{name}_violation_status": "NOT ACTIVE" for name in ("prochot", "ppt", "vr_thermal", "hbm_thermal")}
METRIC: dict[int, dict[str, Any]] = {
    0: {"ecc": {"total_correctable_count": 9, "total_uncorrectable_count": 3, "total_deferred_count": 2}},
    1: {
        "temperature": {"edge": "N/A", "hotspot": {"value": 103, "unit": "C"}, "mem": {"value": 97, "unit": "C"}},
        "perf_level": "AMDSMI_DEV_PERF_LEVEL_MANUAL",
        "throttle": {**QUIET, "socket_thermal_violation_status": "ACTIVE"},
        "power": {"throttle_status": "THROTTLED"},
    },
    2: {"pcie": {"width": 8, "speed": {"value": 16, "unit": "GT/s"}, "l0_to_recovery_count": 9}},
    3: {"mem_usage": {"total_vram": {"value": 65536, "unit": "MB"}, "used_vram": {"value": 283, "unit": "MB"}}},
    4: {"mem_usage": {"total_vram": {"value": 196288, "unit": "MB"}, "used_vram": {"value": 102400, "unit": "MB"}}},
    6: {"xgmi_err": "AMDSMI_XGMI_STATUS_MULTIPLE_ERRORS"},
}
STATIC: dict[int, dict[str, Any]] = {
    0: {"ras": {"bad_page_threshold": 128, "bad_page_threshold_exceeded": True}},
    1: {"limit": {"ppt0": {"socket_power_limit": {"value": 600, "unit": "W"}}}},
    3: {
        "partition": {"accelerator_partition": "CPX", "memory_partition": "NPS1"},
        "vram": {"size": {"value": 65536, "unit": "MB"}},
    },
}
PAGE = {"page_address": 10596035, "page_size": 4096, "status": "PENDING"}
CPER = "timestamp            gpu_id  severity    file_name\n2027/01/15 07:45:30  3       FATAL       fatal_0.cper\n"
LOG = (
    "kern  :err   : 2027-01-15T07:55:00,000000+00:00 amdgpu 0000:5f:00.0: amdgpu: GPU reset begin!\n"
    "kern  :err   : 2027-01-15T07:56:00,000000+00:00 Out of memory: Killed process 4711 (python3)\n"
)


@cache
def all_faults() -> Envelope:
    """Its envelope. Made once."""
    base = planted(Shape(foreign={5: 40 << 30}))
    links = json.loads(base.items["amd-smi.xgmi"].stdout)
    links["link_status"][6]["link_status"][0] = "D"
    outputs: dict[str, str | None] = {
        "amd-smi.metric": _with(base, "amd-smi.metric", METRIC),
        "amd-smi.static": _with(base, "amd-smi.static", STATIC),
        "amd-smi.bad-pages": _with(base, "amd-smi.bad-pages", {0: {"pending": PAGE}}),
        "amd-smi.xgmi": json.dumps(links),
        "amd-smi.ras-cper": CPER,
        "dmesg": LOG,
    }
    assert WALL_S == 1_800_000_000.0  # 2027-01-15T08:00:00Z: the log is of the last minutes
    return changed(base, dict(FILES), outputs)


def _with(envelope: Envelope, item: str, changes: dict[int, dict[str, Any]]) -> str:
    """amd-smi's output with some keys of some GPUs set."""
    document = json.loads(envelope.items[item].stdout)
    rows = document["gpu_data"] if isinstance(document, dict) else document
    for index, sections in changes.items():
        for name, value in sections.items():
            known = rows[index].get(name)
            rows[index][name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return json.dumps(document)
