"""One GPU as all sources together show it. Bytes, celsius, watts, GT/s; errors count from the driver's start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.health.gpu_sources import Disagreement, about, compared, first, worst
from pdctl.health.parse.amd_smi_bad_pages import BadPages
from pdctl.health.parse.amd_smi_metric import MetricGpu
from pdctl.health.parse.amd_smi_static import StaticGpu
from pdctl.health.parse.amd_smi_xgmi import XgmiGpu
from pdctl.health.parse.amdgpu_sysfs import SysfsGpu
from pdctl.health.parse.rocm_smi import RocmSmiGpu
from pdctl.model.reading import Reading, Unknown


@dataclass(frozen=True, slots=True)
class Told:
    """What each source tells of one device; a source that does not speak of it tells unknowns."""

    sysfs: SysfsGpu
    static: StaticGpu
    metric: MetricGpu
    bad_pages: BadPages
    rocm: RocmSmiGpu
    xgmi: XgmiGpu
    firmware: Reading[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Memory:
    """VRAM. `used_bytes` is the lowest of the samples."""

    total_bytes: Reading[int]
    used_bytes: Reading[int]


@dataclass(frozen=True, slots=True)
class Faults:
    """What memory has failed. `pages_exceeded`: amd-smi's word on whether too many pages are bad."""

    uncorrectable: Reading[int]
    correctable: Reading[int]
    deferred: Reading[int]
    retired_pages: Reading[int]
    pending_pages: Reading[int]
    unreservable_pages: Reading[int]
    page_threshold: Reading[int]
    pages_exceeded: Reading[bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """How it runs. `throttled`: the limits that hold it back now; limits of temperature are where it slows down."""

    hotspot_c: Reading[float]
    memory_c: Reading[float]
    hotspot_limit_c: Reading[float]
    memory_limit_c: Reading[float]
    power_cap_w: Reading[float]
    power_max_w: Reading[float]
    throttled: Reading[tuple[str, ...]]
    perf_level: Reading[str]
    runtime_status: Reading[str]
    compute_partition: Reading[str]
    memory_partition: Reading[str]


@dataclass(frozen=True, slots=True)
class Pcie:
    """Its link to the host, and that link's errors. `l0_to_recovery`: how often the link had to be recovered."""

    gts: Reading[float]
    width: Reading[int]
    max_gts: Reading[float]
    max_width: Reading[int]
    fatal: Reading[int]
    nonfatal: Reading[int]
    correctable: Reading[int]
    l0_to_recovery: Reading[int]


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device. `index` is its place in KFD's order, which is HIP's; `partitions` how many GPUs it shows itself as.

    `series`: each look at a counter that should not move, oldest first, by its name.
    """

    index: int
    address: str
    partitions: int
    unique_id: Reading[str]
    market_name: Reading[str]
    device_id: Reading[str]
    vbios: Reading[str]
    firmware: Reading[Mapping[str, str]]
    numa_node: Reading[str]
    memory: Memory
    faults: Faults
    condition: Condition
    pcie: Pcie
    xgmi_errors: Reading[str]
    xgmi: XgmiGpu
    series: Mapping[str, tuple[int, ...]]
    disagreements: tuple[Disagreement, ...]

    @property
    def name(self) -> str:
        """As findings name it."""
        return f"gpu{self.index}"


def gpu_of(index: int, address: str, partitions: int, told: Told) -> Gpu:
    """Put together what is told of one device."""
    sysfs, static, metric, rocm = told.sysfs, told.static, told.metric, told.rocm
    return Gpu(
        index=index,
        address=address,
        partitions=partitions,
        unique_id=sysfs.unique_id,
        market_name=first(static.market_name, rocm.market_name),
        device_id=first(sysfs.device_id, static.device_id, rocm.device_id),
        vbios=first(sysfs.vbios, static.vbios, rocm.vbios),
        firmware=told.firmware,
        numa_node=sysfs.numa_node,
        memory=Memory(
            total_bytes=first(*_vram_totals(told)),
            used_bytes=first(sysfs.vram_used_bytes, metric.vram_used_bytes, rocm.vram_used_bytes),
        ),
        faults=_faults(told),
        condition=_condition(told),
        pcie=_pcie(told),
        xgmi_errors=metric.xgmi_errors,
        xgmi=told.xgmi,
        series=sysfs.counters.series,
        disagreements=_disagreements(told),
    )


def _faults(told: Told) -> Faults:
    counters, errors, pages = told.sysfs.counters, told.metric.errors, told.bad_pages
    return Faults(
        uncorrectable=worst(counters.uncorrectable, errors.uncorrectable),
        correctable=worst(counters.correctable, errors.correctable),
        deferred=worst(counters.deferred, errors.deferred),
        retired_pages=worst(counters.retired_pages, pages.retired),
        pending_pages=worst(counters.pending_pages, pages.pending),
        unreservable_pages=worst(counters.unreservable_pages, pages.unreservable),
        page_threshold=told.static.bad_page_threshold,
        pages_exceeded=told.static.bad_page_threshold_exceeded,
    )


def _condition(told: Told) -> Condition:
    sysfs, static, metric, rocm = told.sysfs, told.static, told.metric, told.rocm
    return Condition(
        hotspot_c=first(sysfs.hotspot_c, metric.hotspot_c, rocm.hotspot_c),
        memory_c=first(sysfs.memory_c, metric.memory_c, rocm.memory_c),
        hotspot_limit_c=first(sysfs.hotspot_limit_c, static.slowdown_hotspot_c),
        memory_limit_c=first(sysfs.memory_limit_c, static.slowdown_memory_c),
        power_cap_w=first(*_power_caps(told)),
        power_max_w=first(sysfs.power_max_w, static.power_max_w),
        throttled=metric.throttle.active,
        perf_level=first(sysfs.perf_level, metric.perf_level, rocm.perf_level),
        runtime_status=sysfs.runtime_status,
        compute_partition=first(sysfs.compute_partition, static.compute_partition, rocm.compute_partition),
        memory_partition=first(sysfs.memory_partition, static.memory_partition, rocm.memory_partition),
    )


def _pcie(told: Told) -> Pcie:
    sysfs, static, metric = told.sysfs, told.static, told.metric
    return Pcie(
        gts=first(*_speeds(told)),
        width=first(*_widths(told)),
        max_gts=first(sysfs.max_link_gts, static.max_link_gts),
        max_width=first(sysfs.max_link_width, static.max_link_width),
        fatal=sysfs.counters.aer_fatal,
        nonfatal=sysfs.counters.aer_nonfatal,
        correctable=sysfs.counters.aer_correctable,
        l0_to_recovery=metric.l0_to_recovery,
    )


def _vram_totals(told: Told) -> tuple[Reading[int], ...]:
    return told.sysfs.vram_total_bytes, told.metric.vram_total_bytes, told.static.vram_bytes, told.rocm.vram_total_bytes


def _power_caps(told: Told) -> tuple[Reading[float], ...]:
    return told.sysfs.power_cap_w, _set(told.static.power_cap_w), told.rocm.power_cap_w


def _set(cap: Reading[float]) -> Reading[float]:
    """amd-smi shows a cap of 0 W where it could not read it (seen on MI350X with ROCm 7)."""
    if isinstance(cap, Unknown) or cap.value > 0:
        return cap
    return Unknown(f"{cap.source} shows a power cap of 0 W", cap.source)


def _speeds(told: Told) -> tuple[Reading[float], ...]:
    return told.sysfs.link_gts, told.metric.link_gts, told.rocm.link_gts


def _widths(told: Told) -> tuple[Reading[int], ...]:
    return told.sysfs.link_width, told.metric.link_width, told.rocm.link_width


def _disagreements(told: Told) -> tuple[Disagreement, ...]:
    """Of what does not change by itself between two looks. Sizes and powers may be rounded."""
    sysfs, static, metric, rocm = told.sysfs, told.static, told.metric, told.rocm
    return (
        *compared("VRAM in bytes", *_vram_totals(told), same=about),
        *compared("power cap in W", *_power_caps(told), same=about),
        *compared("PCIe speed in GT/s", *_speeds(told), same=about),
        *compared("PCIe width", *_widths(told)),
        *compared("uncorrectable errors", sysfs.counters.uncorrectable, metric.errors.uncorrectable),
        *compared("compute partition", sysfs.compute_partition, static.compute_partition, rocm.compute_partition),
        *compared("memory partition", sysfs.memory_partition, static.memory_partition, rocm.memory_partition),
    )
