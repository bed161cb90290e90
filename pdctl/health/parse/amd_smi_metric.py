"""`amd-smi metric`: what a GPU does now, and what it has counted.

Keys that moved: `pcie.{current_lanes,current_speed}` (ROCm 6.0) became `width` and `speed`, the counters of `pcie` came
one by one, `fb_usage` and `vram` became `mem_usage`. A count that is "N/A" is not known, and never 0. `xgmi_err` is an
enumerator (0 none, 1 one error, 2 several), its name, a sentence, or an object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.health.parse.amd_smi_rows import rows
from pdctl.health.parse.amd_smi_throttle import Throttle, read_throttle
from pdctl.health.parse.fields import Field
from pdctl.model.reading import Known, Reading, Unknown, value_or

SOURCE = "amd-smi metric"


@dataclass(frozen=True, slots=True)
class Errors:
    """Memory errors since the driver was loaded, over all blocks."""

    correctable: Reading[int]
    uncorrectable: Reading[int]
    deferred: Reading[int]


@dataclass(frozen=True, slots=True)
class MetricGpu:
    """One logical GPU's figures."""

    index: int
    vram_total_bytes: Reading[int]
    vram_used_bytes: Reading[int]
    hotspot_c: Reading[float]
    memory_c: Reading[float]
    power_w: Reading[float]
    throttle: Throttle
    perf_level: Reading[str]  # "auto"
    link_gts: Reading[float]
    link_width: Reading[int]
    replays: Reading[int]
    l0_to_recovery: Reading[int]
    naks: Reading[int]  # sent and received
    errors: Errors
    xgmi_errors: Reading[str]  # "none", "one", "several"


def parse_metric(text: str) -> Mapping[int, MetricGpu]:
    """By amd-smi's index; JSON or text of any version. A GPU that is not shown is not in it."""
    return {index: metric_gpu(index, gpu) for index, gpu in rows(text, SOURCE).by_gpu.items()}


def metric_gpu(index: int, gpu: Field) -> MetricGpu:
    """From one GPU's record; all unknown from a missing one."""
    memory, temperature, pcie = gpu.any_of("mem_usage", "vram", "fb_usage"), gpu["temperature"], gpu["pcie"]
    return MetricGpu(
        index=index,
        vram_total_bytes=memory.any_of("total_vram", "total", "vram_total").size_bytes(),
        vram_used_bytes=memory.any_of("used_vram", "used", "vram_used").size_bytes(),
        hotspot_c=temperature["hotspot"].celsius(),
        memory_c=temperature["mem"].celsius(),
        power_w=gpu["power"].any_of("socket_power", "current_socket_power", "average_socket_power").watts(),
        throttle=read_throttle(gpu),
        perf_level=_perf_level(gpu["perf_level"]),
        link_gts=pcie.any_of("speed", "current_speed").gt_per_s(),
        link_width=pcie.any_of("width", "current_lanes").count(),
        replays=pcie["replay_count"].count(),
        l0_to_recovery=pcie["l0_to_recovery_count"].count(),
        naks=_sum(pcie["nak_sent_count"], pcie["nak_received_count"]),
        errors=_errors(gpu),
        xgmi_errors=_xgmi_errors(gpu["xgmi_err"]),
    )


def _errors(gpu: Field) -> Errors:
    """Totals over all blocks. Single blocks can only make it worse: one that is missing may be the bad one."""
    total, blocks = gpu["ecc"], gpu["ecc_blocks"]

    def count(kind: str) -> Reading[int]:
        whole = total[f"total_{kind}_count"].count()
        parts = (block[f"{kind}_count"].count() for _, block in blocks.items())
        seen = sum(part.value for part in parts if isinstance(part, Known))
        return Known(seen, total.source) if seen > value_or(whole, 0) else whole

    return Errors(count("correctable"), count("uncorrectable"), count("deferred"))


def _sum(*fields: Field) -> Reading[int]:
    total, source = 0, ""
    for field in fields:
        count = field.count()
        if isinstance(count, Unknown):
            return count
        total, source = total + count.value, count.source
    return Known(total, source)


def _perf_level(field: Field) -> Reading[str]:
    """The level as sysfs writes it: "AMDSMI_DEV_PERF_LEVEL_AUTO" -> "auto"."""
    word = field.text()
    if isinstance(word, Unknown):
        return word
    return Known(word.value.upper().rpartition("PERF_LEVEL_")[2].lower(), word.source)


def _xgmi_errors(field: Field) -> Reading[str]:
    """ "none", "one" or "several". An object counts errors beside traffic (`data_kb`)."""
    errors = {name: part.count() for name, part in field.items() if "err" in name.lower()}
    if sum(value_or(count, 0) for count in errors.values()):
        return Known("several", field.source)
    if {"read_error_count", "write_error_count"} <= errors.keys():
        clear = all(isinstance(count, Known) for count in errors.values())
        return Known("none", field.source) if clear else field.unknown()
    number = field.count()
    if isinstance(number, Known):
        return Known(("none", "one", "several")[min(number.value, 2)], number.source)
    word = field.text() if isinstance(field.value, str) else field["value"].text()
    said = value_or(word, "").upper().replace("_", " ")
    if "MULTIPLE" in said:
        return Known("several", field.source)
    if "NO ERROR" in said:
        return Known("none", field.source)
    return Known("one", field.source) if said.endswith("ERROR") else field.unknown()
