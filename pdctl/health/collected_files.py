"""Which files of sysfs and proc are read on a node, as globs. Data only; `collection` puts them into an order.

GPUs are found by PCI address (/sys/bus/pci/drivers/amdgpu/0000:1b:00.0/...), RDMA adapters by the kernel's name.
Entries of a GID table that are empty are left out: a table has 256 of them, and three or four are in use.
"""

from __future__ import annotations

_GPU = "/sys/bus/pci/drivers/amdgpu/*:*:*.*"
_RDMA = "/sys/class/infiniband/*"

GPU_STATE = tuple(
    f"{_GPU}/{name}"
    for name in (
        "vendor",
        "device",
        "numa_node",
        "unique_id",
        "mem_info_vram_total",
        "mem_info_vram_used",
        "current_compute_partition",
        "current_memory_partition",
        "current_link_speed",
        "current_link_width",
        "max_link_speed",
        "max_link_width",
        "aer_dev_fatal",
        "aer_dev_nonfatal",
        "aer_dev_correctable",
        "pcie_replay_count",
        "ras/*_err_count",
        "ras/gpu_vram_bad_pages",
        "power_dpm_force_performance_level",
        "power/runtime_status",
        "gpu_busy_percent",
        "hwmon/hwmon*/temp*_*",
        "hwmon/hwmon*/power1_*",
    )
)

GPU_IDENTITY = (
    "/sys/module/amdgpu/initstate",
    "/sys/module/amdgpu/version",
    "/sys/module/amdgpu/srcversion",
    "/sys/class/kfd/kfd/topology/nodes/*/properties",
    "/sys/class/kfd/kfd/topology/nodes/*/gpu_id",
    "/sys/class/kfd/kfd/topology/nodes/*/name",
    "/sys/class/kfd/kfd/topology/nodes/*/io_links/*/properties",
    f"{_GPU}/vbios_version",
    f"{_GPU}/serial_number",
    f"{_GPU}/fw_version/*",
    f"{_GPU}/pp_dpm_sclk",
    f"{_GPU}/xgmi_hive_info/xgmi_hive_id",
    "/opt/rocm/.info/version",
)

TENANCY = ("/sys/class/kfd/kfd/proc/*/vram_*", "/sys/class/kfd/kfd/proc/*/pasid")

RDMA_STATE = tuple(
    f"{_RDMA}/{name}"
    for name in (
        "node_guid",
        "device/vendor",  # which counters mean what
        "ports/*/state",
        "ports/*/phys_state",
        "ports/*/link_layer",
        "ports/*/rate",
        "ports/*/counters/*",
        "ports/*/hw_counters/*",
        "hw_counters/*",
        "ports/*/gids/*",  # with gid_attrs/types/N and gid_attrs/ndevs/N of those that are not zero
    )
)

RDMA_IDENTITY = (
    *(f"{_RDMA}/{name}" for name in ("fw_ver", "board_id", "hca_type", "sys_image_guid", "node_type", "node_desc")),
    *(
        f"{_RDMA}/device/{name}"
        for name in (
            "device",
            "numa_node",
            "current_link_speed",
            "current_link_width",
            "max_link_speed",
            "max_link_width",
            "aer_dev_fatal",
            "aer_dev_nonfatal",
            "aer_dev_correctable",
        )
    ),
    *(
        f"/sys/module/{name}/version"
        for name in ("mlx5_core", "mlx5_ib", "bnxt_re", "bnxt_en", "ionic", "ionic_rdma", "ib_core")
    ),
    "/sys/kernel/mm/memory_peers/*/version",
    "/sys/kernel/config/bnxt_re/*/ports/*/cc/*",
    "/sys/kernel/config/bnxt_re/*/ports/*/tos/*",
)

LIGHT_FILES = (
    *GPU_STATE,
    *TENANCY,
    *RDMA_STATE,
    "/proc/uptime",
    "/proc/meminfo",
    "/proc/loadavg",
)

HOST_FILES = (
    *GPU_IDENTITY,
    *RDMA_IDENTITY,
    "/proc/cmdline",
    "/proc/version",
    "/proc/modules",
    "/proc/self/limits",
    "/proc/self/cgroup",
    "/proc/sys/kernel/numa_balancing",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/vm/max_map_count",
    "/proc/sys/net/ipv4/conf/*/rp_filter",
    "/proc/sys/net/ipv4/conf/*/arp_ignore",
    "/proc/sys/net/ipv4/conf/*/arp_announce",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/devices/system/cpu/online",
    "/sys/devices/system/cpu/smt/active",
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor",
    "/sys/devices/system/node/node*/cpulist",
    "/sys/devices/system/node/node*/meminfo",
    "/sys/class/net/*/operstate",
    "/sys/class/net/*/mtu",
    "/sys/class/dmi/id/product_name",
    "/sys/class/dmi/id/sys_vendor",
    "/sys/class/dmi/id/bios_version",
    "/sys/fs/cgroup/pids.max",
    "/etc/os-release",
)

PER_NETDEV = (
    "operstate",
    "mtu",
    "speed",
    "address",
    "carrier",
    "carrier_changes",
    "ecn/roce_np/enable/*",
    "ecn/roce_rp/enable/*",
)
"""Of each RDMA adapter's network device."""

PER_TENANT = ("comm", "cgroup", "limits")
"""Of each process with a KFD context; never its environment or arguments, which may hold secrets."""

LINKS = (
    "/sys/bus/pci/drivers/amdgpu/*:*:*.*",
    "/sys/class/drm/renderD*/device",
    "/sys/class/infiniband/*/device",
    "/sys/class/infiniband/*/device/driver",
    "/sys/class/net/*",
    "/sys/kernel/iommu_groups/0",
)
"""Symlinks, given as the real path that they lead to: what shares a PCIe switch is seen in it."""

OPENED = ("/dev/kfd", "/dev/dri/renderD*", "/dev/infiniband/uverbs*", "/dev/infiniband/rdma_cm")

SAMPLED = (
    f"{_GPU}/mem_info_vram_used",
    f"{_GPU}/gpu_busy_percent",
    f"{_GPU}/ras/*_err_count",
    f"{_GPU}/aer_dev_correctable",
    f"{_GPU}/pcie_replay_count",
    f"{_RDMA}/ports/*/hw_counters/*",
    f"{_RDMA}/ports/*/counters/link_downed",
    "/sys/class/net/*/carrier_changes",
)
"""Read several times: memory in use is judged by the lowest, counters by whether they move."""
