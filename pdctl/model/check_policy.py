"""What the operator may decide about checks (`checks:` of the inventory): which unknown blocks, severities, pinned
versions, thresholds.

Sources of the thresholds: node-scraper (AMD), CVS (ROCm), Primus node_smoke, MoRI env_check, ROCm/MAD preflight,
Azure health checks. Where a comment says "ours", no vendor publishes a limit: it is our proposal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TypeVar

T = TypeVar("T")

GIB = 1 << 30


class UnknownIs(StrEnum):
    """What an unknown counts as: it blocks, it is shown and lets pass, or it is not even shown."""

    BLOCK = "block"
    WARN = "warn"
    IGNORE = "ignore"


class SeverityIs(StrEnum):
    """A check's severity as the inventory overrides it; `off` leaves the check out."""

    BLOCK = "block"
    WARN = "warn"
    INFO = "info"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Every one can be set in the inventory under `checks.thresholds`, by these names."""

    # GPU
    tool_latency_s: float = 5.0  # Primus: slower is a wedged driver
    vram_idle_fraction: float = 0.05  # MAD preflight: a clean GPU has 0.14 %
    vram_idle_bytes: int = 5_000_000_000  # MAD clean_node
    temperature_hotspot_c: float = 95.0  # ours, where the GPU names no limit
    temperature_memory_c: float = 95.0  # ours
    bad_pages: int = 128  # amdgpu: "Saved bad pages N reaches threshold 128"
    pcie_l0_recovery_warn: int = 1  # node-scraper: warns above
    pcie_l0_recovery_bad: int = 3  # node-scraper: errors above
    # host
    memlock_bytes: int = 32 * GIB  # Primus
    nofile: int = 65_536  # ours
    shm_bytes: int = 8 * GIB  # Primus
    shm_tp8_bytes: int = 64 * GIB  # ours
    ram_free_fraction: float = 0.07  # Azure
    disk_free_fraction: float = 0.10  # ours
    clock_warn_s: float = 1.0  # Primus: spread
    dmesg_window_s: float = 900.0  # ours: what is older than this was there at the last good check
    # NIC
    flap_window_s: float = 86_400.0  # ours
    max_read_request_bytes: int = 4096  # ours
    mtu_bytes: int = 9000
    cnp: int = 1000  # CVS: warns above, per window
    lossless_share: float = 0.90  # MoRI env_check: ETS share of the lossless traffic class
    # fabric
    write_bw_warn_gbps: float = 300.0  # MoRI env_check for 400 Gb/s ports; scaled to the port's rate
    write_bw_reference_gbps: float = 400.0
    write_latency_us: float = 10.0  # MoRI env_check
    # performance floors (T3)
    gemm_bf16_tflops: float = 600.0  # Primus, 8192^3
    hbm_copy_gbps: float = 2000.0  # Primus, GB/s
    allreduce_busbw_gbps: float = 100.0  # Primus, 8 GPUs, 64 MB, GB/s
    # comparisons
    outlier_fraction: float = 0.9
    pace_factor: float = 1.5
    # memory
    vram_headroom_bytes: int = 20 * GIB  # MAD preflight

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The keys of `checks.thresholds`."""
        return tuple(each.name for each in fields(cls))


@dataclass(frozen=True, slots=True)
class CheckPolicy:
    """The operator's decisions. `unknown` and `severity` are keyed by check ids or globs ("gpu.*"): an exact id goes
    before any glob, a longer glob before a shorter one. `pinned`: versions by name ("rocm", "kernel", "gpu.driver").
    `gate`: whether `up` checks nodes before it starts anything there; None: where there are GPUs.
    """

    unknown: Mapping[str, UnknownIs] = field(default_factory=dict)
    severity: Mapping[str, SeverityIs] = field(default_factory=dict)
    pinned: Mapping[str, str] = field(default_factory=dict)
    thresholds: Thresholds = field(default_factory=Thresholds)
    gate: bool | None = None

    def unknown_override(self, check: str) -> UnknownIs | None:
        """What the inventory says of an unknown of this check; None: nothing."""
        return _best(self.unknown, check)

    def severity_override(self, check: str) -> SeverityIs | None:
        """What the inventory says of this check's severity; None: nothing."""
        return _best(self.severity, check)


def _best(by_pattern: Mapping[str, T], check: str) -> T | None:
    """The value of the pattern that decides for `check`."""
    if check in by_pattern:
        return by_pattern[check]
    matching = [pattern for pattern in by_pattern if fnmatchcase(check, pattern)]
    best = max(matching, key=lambda pattern: (len(pattern), pattern), default=None)
    return None if best is None else by_pattern[best]
