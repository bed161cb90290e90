"""What a simulated node has: eight MI300X and eight RDMA adapters, with identities derived from the node's name."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import NamedTuple  # not a dataclass: that import alone would double a tool's start

GPU_COUNT = 8
VRAM_TOTAL_BYTES = 196_288 << 20  # amd-smi's figure for a 192 GB MI300X, in MiB
VRAM_IDLE_BYTES = 283 << 20  # what the driver itself holds on a clean GPU
ROCM_VERSION = "7.0.2"
AMDGPU_VERSION = "6.16.6"
NIC_FIRMWARE = "28.43.2026"
PCI_BUSES = (0x1B, 0x3D, 0x4E, 0x5F, 0x9D, 0xBF, 0xCD, 0xDE)


class Gpu(NamedTuple):
    """One simulated GPU. `processes` are (pid, bytes) of the engines on it; `uncorrectable` counts memory errors."""

    number: int
    bdf: str
    uuid: str
    serial: str
    kfd_id: int
    numa: int
    used_bytes: int
    processes: tuple[tuple[int, int], ...]
    uncorrectable: int = 0
    firmware: str = "04.86.00.00"


class Nic(NamedTuple):
    """One simulated RDMA adapter with its network device, on the PCIe switch of the GPU with the same index."""

    number: int
    device: str
    netdev: str
    bdf: str
    guid: int
    mac: str
    address: str
    numa: int
    firmware: str = NIC_FIRMWARE
    up: bool = True
    gbps: int = 400
    roce_v2: bool = True


def node_name() -> str:
    return os.environ.get("PDCTL_SIM_NODE", "n0")


def hostname() -> str:
    return os.environ.get("PDCTL_SIM_HOSTNAME", f"sim-{node_name()}")


def draw(*key: object, bits: int = 32, node: str = "") -> int:
    """A number that is always the same for the same key on the same node."""
    text = "/".join(str(part) for part in (node or node_name(), *key))
    value = zlib.crc32(text.encode()) | zlib.crc32(text[::-1].encode() + b"+") << 32
    return value & ((1 << bits) - 1)


def memory_in_use(index: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Bytes in use on a GPU beyond the driver's own, and which processes hold them.

    $PDCTL_SIM_VRAM_DIR holds files named `<gpu>` or `<gpu>.<anything>` with `<bytes>` or `<bytes> <pid>`; with a pid
    the memory is given back when that process is gone, as the driver does it.
    """
    directory = os.environ.get("PDCTL_SIM_VRAM_DIR", "")
    used, holders = 0, []
    for path in sorted(Path(directory).iterdir()) if directory and Path(directory).is_dir() else ():
        if path.name.split(".")[0] != str(index):
            continue
        try:
            words = [int(word) for word in path.read_text().split()]
        except (OSError, ValueError):  # removed, or half-written, just now
            continue
        if not words or (len(words) > 1 and not Path("/proc", str(words[1])).exists()):
            continue
        used += words[0]
        if len(words) > 1:
            holders.append((words[1], words[0]))
    return used, tuple(holders)


def gpus(node: str = "") -> list[Gpu]:
    found = []
    for index in range(GPU_COUNT):
        used, holders = memory_in_use(index)
        found.append(
            Gpu(
                number=index,
                bdf=f"0000:{PCI_BUSES[index]:02x}:00.0",
                uuid=f"{draw('uuid', index, bits=8, node=node):02x}ff74a1-0000-1000-"
                f"80{draw('uuid', 8, index, bits=8, node=node):02x}-{draw('uuid', 48, index, bits=48, node=node):012x}",
                serial=f"0x{draw('serial', index, bits=64, node=node):016X}",
                kfd_id=draw("kfd", index, bits=16, node=node),
                numa=index // 4,
                used_bytes=min(VRAM_IDLE_BYTES + used, VRAM_TOTAL_BYTES),
                processes=holders,
            )
        )
    return found


def nics(node: str = "") -> list[Nic]:
    rail_host = draw("rail", bits=7, node=node) + 1
    found = []
    for index in range(GPU_COUNT):
        low = draw("mac", index, bits=24, node=node)
        found.append(
            Nic(
                number=index,
                device=f"mlx5_{index}",
                netdev=f"rdma{index}",
                bdf=f"0000:{PCI_BUSES[index] + 1:02x}:00.0",
                guid=0x0255_0000_0300_0000 | low << 8 | index,
                mac=":".join(f"{byte:02x}" for byte in (2, 0x55, 0, *low.to_bytes(3, "big"))),
                address=f"192.168.{16 + index}.{rail_host}",
                numa=index // 4,
            )
        )
    return found


def colon_guid(guid: int) -> str:
    """0011:2233:4455:6677, as rdma-core prints it."""
    text = f"{guid:016x}"
    return ":".join(text[at : at + 4] for at in range(0, 16, 4))


def gids(nic: Nic) -> list[tuple[int, str, str, str]]:
    """The port's GID table: (index, GID, IPv4 or "", "v1" or "v2")."""
    link_local = f"fe80:0000:0000:0000:{colon_guid(nic.guid)}"
    octets = [int(part) for part in nic.address.split(".")]
    mapped = "0000:0000:0000:0000:0000:ffff:{:02x}{:02x}:{:02x}{:02x}".format(*octets)
    entries = [
        (0, link_local, "", "v1"),
        (1, link_local, "", "v2"),
        (2, mapped, nic.address, "v1"),
        (3, mapped, nic.address, "v2"),
    ]
    return [entry for entry in entries if nic.roce_v2 or entry[3] == "v1"]
