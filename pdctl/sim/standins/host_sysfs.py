"""/sys of a node with MI300X and ConnectX-7, as amdgpu, KFD and mlx5 show them on Linux 6.8. Each GPU and the adapter
of its rail hang below one PCIe switch."""

from __future__ import annotations

from collections.abc import Sequence

from pdctl.sim.standins import facts
from pdctl.sim.standins.facts import Gpu, Nic

ERR_BLOCKS = ("umc", "sdma", "gfx", "mmhub", "xgmi_wafl", "pcie_bif")
AER_KINDS = {
    "correctable": ("RxErr", "BadTLP", "BadDLLP", "Rollover", "Timeout", "NonFatalErr"),
    "fatal": ("DLP", "SDES", "TLP", "FCP", "CmpltTO", "CmpltAbrt"),
    "nonfatal": ("DLP", "SDES", "TLP", "FCP", "CmpltTO", "CmpltAbrt"),
}
PORT_COUNTERS = (
    "excessive_buffer_overrun_errors",
    "link_downed",
    "link_error_recovery",
    "local_link_integrity_errors",
    "port_rcv_data",
    "port_rcv_errors",
    "port_rcv_packets",
    "port_xmit_data",
    "port_xmit_discards",
    "port_xmit_packets",
    "port_xmit_wait",
    "symbol_error",
)
HW_COUNTERS = (
    "duplicate_request",
    "implied_nak_seq_err",
    "lifespan",
    "local_ack_timeout_err",
    "np_cnp_sent",
    "np_ecn_marked_roce_packets",
    "out_of_buffer",
    "out_of_sequence",
    "packet_seq_err",
    "req_cqe_error",
    "req_cqe_flush_error",
    "resp_cqe_error",
    "resp_local_length_error",
    "rnr_nak_retry_err",
    "roce_adp_retrans",
    "roce_slow_restart",
    "rp_cnp_handled",
    "rp_cnp_ignored",
    "rx_icrc_encapsulated",
)
GID_ENTRIES = 8
RATES = {400: "400 Gb/sec (4X NDR)", 200: "200 Gb/sec (4X HDR)", 100: "100 Gb/sec (4X EDR)"}
_ZERO_GID = ":".join(["0000"] * 8)


def tree(gpus: Sequence[Gpu], nics: Sequence[Nic]) -> tuple[dict[str, str], dict[str, str]]:
    """(texts by path, symlinks by path with relative targets)."""
    files: dict[str, str] = {"/sys/module/amdgpu/initstate": "live\n"}
    files["/sys/module/amdgpu/version"] = f"{facts.AMDGPU_VERSION}\n"
    for name in ("mlx5_core", "mlx5_ib", "ib_core"):
        files[f"/sys/module/{name}/version"] = "24.10-2.1.8\n"
    files["/sys/kernel/mm/memory_peers/amdkfd/version"] = "1.0\n"
    links: dict[str, str] = {}
    for gpu in gpus:
        _gpu(gpu, files, links)
    for nic in nics:
        _nic(nic, files, links)
    _kfd(gpus, files)
    files |= _host()
    return files, links


def _switch(bdf: str, port: int) -> str:
    """The directory of a device: root port, switch, one port of it, the device."""
    bus = int(bdf[5:7], 16) - port  # the GPU's bus: its adapter has the next one
    root, upstream = f"{bus - 6:02x}", f"{bus - 5:02x}"
    return f"/sys/devices/pci0000:{root}/0000:{root}:01.1/0000:{upstream}:00.0/0000:{bus - 4:02x}:{port:02x}.0/{bdf}"


def _link(links: dict[str, str], path: str, target: str) -> None:
    links[path] = "../" * (path.count("/") - 1) + target.lstrip("/")


def _pcie(where: str, files: dict[str, str]) -> None:
    for name in ("current", "max"):
        files[f"{where}/{name}_link_speed"] = "32.0 GT/s PCIe\n"
        files[f"{where}/{name}_link_width"] = "16\n"
    for kind, names in AER_KINDS.items():
        total = "ERR_" + {"correctable": "COR", "fatal": "FATAL", "nonfatal": "NONFATAL"}[kind]
        files[f"{where}/aer_dev_{kind}"] = "".join(f"{name} 0\n" for name in (*names, f"TOTAL_{total}"))


def _gpu(gpu: Gpu, files: dict[str, str], links: dict[str, str]) -> None:
    where = _switch(gpu.bdf, 0)
    _link(links, f"/sys/bus/pci/drivers/amdgpu/{gpu.bdf}", where)
    _link(links, f"/sys/class/drm/renderD{128 + gpu.number}/device", where)
    files[f"/dev/dri/renderD{128 + gpu.number}"] = ""
    _pcie(where, files)
    texts = {
        "vendor": "0x1002",
        "device": "0x74a1",
        "numa_node": gpu.numa,
        "unique_id": gpu.serial[2:].lower(),
        "serial_number": gpu.serial[2:].lower(),
        "vbios_version": "113-SIM0000-100",
        "mem_info_vram_total": facts.VRAM_TOTAL_BYTES,
        "mem_info_vram_used": gpu.used_bytes,
        "current_compute_partition": "SPX",
        "current_memory_partition": "NPS1",
        "pcie_replay_count": 0,
        "power_dpm_force_performance_level": "auto",
        "power/runtime_status": "active",
        "gpu_busy_percent": 0,
        "pp_dpm_sclk": "0: 132Mhz *\n1: 2100Mhz",
        "xgmi_hive_info/xgmi_hive_id": 0x5111,
        "fw_version/smc_fw_version": f"0x{int(gpu.firmware.replace('.', ''), 16):08x}",
        "fw_version/mec_fw_version": "0x0000009e",
        "ras/gpu_vram_bad_pages": "",
        "hwmon/hwmon4/name": "amdgpu",
        "hwmon/hwmon4/power1_average": 138_000_000,
        "hwmon/hwmon4/power1_cap": 750_000_000,
        "hwmon/hwmon4/power1_cap_max": 750_000_000,
    }
    for number, (label, degrees, limit) in {2: ("junction", 40, 100), 3: ("mem", 34, 105)}.items():
        texts[f"hwmon/hwmon4/temp{number}_label"] = label
        texts[f"hwmon/hwmon4/temp{number}_input"] = degrees * 1000
        texts[f"hwmon/hwmon4/temp{number}_crit"] = limit * 1000
    for block in ERR_BLOCKS:
        errors = gpu.uncorrectable if block == "umc" else 0
        texts[f"ras/{block}_err_count"] = f"ue: {errors}\nce: 0\nde: 0"
    files.update({f"{where}/{name}": f"{text}\n" if text != "" else "" for name, text in texts.items()})
    for pid, used in gpu.processes:
        files[f"/sys/class/kfd/kfd/proc/{pid}/vram_{gpu.kfd_id}"] = f"{used}\n"
        files[f"/sys/class/kfd/kfd/proc/{pid}/pasid"] = "32770\n"


def _kfd(gpus: Sequence[Gpu], files: dict[str, str]) -> None:
    files["/dev/kfd"] = ""
    nodes = "/sys/class/kfd/kfd/topology/nodes"
    for number in range(2):
        files[f"{nodes}/{number}/properties"] = "cpu_cores_count 96\nsimd_count 0\nvendor_id 0\ndevice_id 0\n"
        files[f"{nodes}/{number}/gpu_id"] = "0\n"
        files[f"{nodes}/{number}/name"] = "\n"
    for gpu in gpus:
        where, bus = f"{nodes}/{gpu.number + 2}", int(gpu.bdf[5:7], 16)
        properties = {
            "cpu_cores_count": 0,
            "simd_count": 1216,
            "mem_banks_count": 1,
            "io_links_count": 1,
            "p2p_links_count": len(gpus) - 1,
            "gfx_target_version": 90402,
            "vendor_id": 4098,
            "device_id": 0x74A1,
            "location_id": bus << 8,
            "domain": 0,
            "drm_render_minor": 128 + gpu.number,
            "hive_id": 0x5111,
            "num_xcc": 8,
            "unique_id": int(gpu.serial, 16),
        }
        files[f"{where}/properties"] = "".join(f"{name} {number}\n" for name, number in properties.items())
        files[f"{where}/gpu_id"] = f"{gpu.kfd_id}\n"
        files[f"{where}/name"] = "ip discovery\n"
        others = [(2, gpu.numa), *((11, other.number + 2) for other in gpus if other is not gpu)]
        for index, (kind, to) in enumerate(others):
            files[f"{where}/io_links/{index}/properties"] = (
                f"type {kind}\nversion_major 0\nversion_minor 0\nnode_from {gpu.number + 2}\nnode_to {to}\nweight 15\n"
            )


def _nic(nic: Nic, files: dict[str, str], links: dict[str, str]) -> None:
    where = _switch(nic.bdf, 1)
    _link(links, f"/sys/class/infiniband/{nic.device}", f"{where}/infiniband/{nic.device}")
    _link(links, f"{where}/infiniband/{nic.device}/device", where)
    _link(links, f"{where}/driver", "/sys/bus/pci/drivers/mlx5_core")
    _link(links, f"/sys/class/net/{nic.netdev}", f"{where}/net/{nic.netdev}")
    _link(links, f"{where}/net/{nic.netdev}/device", where)
    files["/sys/bus/pci/drivers/mlx5_core/module_version"] = "24.10-2.1.8\n"
    files[f"/dev/infiniband/uverbs{nic.number}"] = ""
    _pcie(where, files)
    files |= {f"{where}/vendor": "0x15b3\n", f"{where}/device": "0x1021\n", f"{where}/numa_node": f"{nic.numa}\n"}
    guid = facts.colon_guid(nic.guid)
    texts = {
        "fw_ver": nic.firmware,
        "board_id": "SIM0000000001",
        "hca_type": "MT4129",
        "node_guid": guid,
        "sys_image_guid": guid,
        "node_type": "1: CA",
        "node_desc": nic.device,
        "ports/1/state": "4: ACTIVE" if nic.up else "1: DOWN",
        "ports/1/phys_state": "5: LinkUp" if nic.up else "3: Disabled",
        "ports/1/link_layer": "Ethernet",
        "ports/1/rate": RATES[nic.gbps] if nic.up else "40 Gb/sec (4X QDR)",
        **{f"ports/1/counters/{name}": 0 for name in PORT_COUNTERS},
        **{f"ports/1/hw_counters/{name}": 10 if name == "lifespan" else 0 for name in HW_COUNTERS},
        **{f"ports/1/gids/{index}": _ZERO_GID for index in range(GID_ENTRIES)},
    }
    for index, gid, _, version in facts.gids(nic):
        texts[f"ports/1/gids/{index}"] = gid
        texts[f"ports/1/gid_attrs/types/{index}"] = "RoCE v2" if version == "v2" else "IB/RoCE v1"
        texts[f"ports/1/gid_attrs/ndevs/{index}"] = nic.netdev
    files.update({f"{where}/infiniband/{nic.device}/{name}": f"{text}\n" for name, text in texts.items()})
    net = {
        "operstate": "up" if nic.up else "down",
        "mtu": 9000,
        "speed": nic.gbps * 1000 if nic.up else -1,
        "address": nic.mac,
        "carrier": int(nic.up),
        "carrier_changes": 2,
        **{f"ecn/roce_{side}/enable/{priority}": 1 for side in ("np", "rp") for priority in range(8)},
    }
    files.update({f"{where}/net/{nic.netdev}/{name}": f"{text}\n" for name, text in net.items()})


def _host() -> dict[str, str]:
    """What is no device: CPUs, memory, the machine."""
    files = {
        "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        "/sys/devices/system/cpu/online": "0-7\n",
        "/sys/devices/system/cpu/smt/active": "1\n",
        "/sys/class/dmi/id/product_name": "SIM-8x-MI300X\n",
        "/sys/class/dmi/id/sys_vendor": "pdctl\n",
        "/sys/class/dmi/id/bios_version": "1.0\n",
        "/sys/fs/cgroup/pids.max": "max\n",
    }
    for cpu in range(8):
        files[f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"] = "performance\n"
    for node in range(2):
        files[f"/sys/devices/system/node/node{node}/cpulist"] = f"{4 * node}-{4 * node + 3}\n"
        files[f"/sys/devices/system/node/node{node}/meminfo"] = f"Node {node} MemTotal:       1188729676 kB\n"
    return files
