"""/proc and /etc of a healthy node, as far as checks read them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from pdctl.sim.standins import facts
from pdctl.sim.standins.facts import Gpu

KERNEL = "6.8.0-60-generic"
RDMA_MODULES = ("amdgpu", "mlx5_core", "mlx5_ib", "ib_core", "ib_uverbs", "rdma_cm", "rdma_ucm")


def files(node: str, gpus: Sequence[Gpu], *, memlock_kib: int | None, numa_balancing: int) -> dict[str, str]:
    """Texts by path."""
    memlock = "unlimited" if memlock_kib is None else str(memlock_kib * 1024)
    serial = f"{zlib.crc32(node.encode()):08x}"
    texts = {
        "/etc/machine-id": f"{serial * 4}\n",
        "/etc/os-release": 'NAME="Ubuntu"\nVERSION_ID="22.04"\nID=ubuntu\n',
        "/opt/rocm/.info/version": f"{facts.ROCM_VERSION}\n",
        "/proc/sys/kernel/random/boot_id": f"{serial}-0000-4000-8000-000000000001\n",
        "/proc/cmdline": f"BOOT_IMAGE=/vmlinuz-{KERNEL} root=/dev/sda1 ro iommu=pt pci=realloc=off\n",
        "/proc/version": f"Linux version {KERNEL} (build@sim) #60-Ubuntu SMP\n",
        "/proc/modules": "".join(f"{name} 1048576 1 - Live 0x0000000000000000\n" for name in RDMA_MODULES),
        "/proc/uptime": "864000.00 1000000.00\n",
        "/proc/loadavg": "0.50 0.40 0.30 1/1200 4000\n",
        "/proc/meminfo": "MemTotal:       2377459352 kB\nMemFree:        2200000000 kB\n"
        "MemAvailable:   2300000000 kB\nHugePages_Total:       0\nHugepagesize:       2048 kB\n",
        "/proc/self/limits": limits(memlock),
        "/proc/self/cgroup": "0::/user.slice/user-1000.slice/session-1.scope\n",
        "/proc/sys/kernel/numa_balancing": f"{numa_balancing}\n",
        "/proc/sys/kernel/pid_max": "4194304\n",
        "/proc/sys/vm/max_map_count": "1048576\n",
    }
    for name in ("all", "default", *(f"rdma{rail}" for rail in range(facts.GPU_COUNT))):
        for setting, number in {"rp_filter": 2, "arp_ignore": 1, "arp_announce": 2}.items():
            texts[f"/proc/sys/net/ipv4/conf/{name}/{setting}"] = f"{number}\n"
    for pid in {pid for gpu in gpus for pid, _ in gpu.processes}:
        texts[f"/proc/{pid}/comm"] = "python3\n"
        texts[f"/proc/{pid}/cgroup"] = "0::/user.slice/user-1001.slice/session-9.scope\n"
        texts[f"/proc/{pid}/limits"] = limits(memlock)
    return texts


def limits(memlock: str) -> str:
    """/proc/<pid>/limits, columns as the kernel pads them; `memlock` in bytes, or "unlimited"."""
    rows = [
        ("Limit", "Soft Limit", "Hard Limit", "Units"),
        ("Max stack size", "67108864", "unlimited", "bytes"),
        ("Max core file size", "0", "unlimited", "bytes"),
        ("Max processes", "unlimited", "unlimited", "processes"),
        ("Max open files", "1048576", "1048576", "files"),
        ("Max locked memory", memlock, memlock, "bytes"),
    ]
    return "".join(f"{name:<26}{soft:<21}{hard:<21}{unit:<10}\n" for name, soft, hard, unit in rows)
