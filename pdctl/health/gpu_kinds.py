"""What an Instinct GPU of a kind has: VRAM, power limit, PCIe link, PCI device ids. By AMD's data sheets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class GpuKind:
    """One kind of GPU. `vram_bytes` is the nominal size: what the driver shows is a little less (`vram_fits`)."""

    name: str
    vram_bytes: int
    max_power_w: int
    device_ids: frozenset[str]  # PCI device ids, lower case, bare metal and virtual function
    link_speed_gts: float = 32.0
    link_width: int = 16

    def vram_fits(self, total_bytes: int) -> bool:
        """Whether `total_bytes` is this kind's VRAM: within 3 % (an MI300X shows 191.98 GiB of 192)."""
        return abs(total_bytes - self.vram_bytes) <= 0.03 * self.vram_bytes


_GIB = 1 << 30

KINDS: Final[Mapping[str, GpuKind]] = {
    kind.name: kind
    for kind in (
        GpuKind("mi300x", 192 * _GIB, 750, frozenset({"0x74a1", "0x74b5"})),
        GpuKind("mi325x", 256 * _GIB, 1000, frozenset({"0x74a5", "0x74b9"})),
        GpuKind("mi350x", 288 * _GIB, 1000, frozenset({"0x75a0", "0x75b0"})),
        GpuKind("mi355x", 288 * _GIB, 1400, frozenset({"0x75a3", "0x75b3"})),
    )
}


def gpu_kind(name: str) -> GpuKind | None:
    """The kind by the inventory's word for it ("mi300x", "MI300X", "mi350" for the MI350X); None: not one we know."""
    key = name.strip().lower().replace("amd", "").replace("instinct", "").strip(" -_")
    return KINDS.get({"mi350": "mi350x"}.get(key, key))
