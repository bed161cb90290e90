"""What the tools of a node with MI300X and ConnectX-7 print: tool -> arguments, as one line -> output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pdctl.sim.standins import amd_smi, rdma_tools, rocm_smi
from pdctl.sim.standins.facts import Gpu, Nic

DATA_NET = "10.1.0"
KIB = 1024
TERABYTES = {"/": 2, "/tmp": 2, "/var": 2, "/dev/shm": 1, "/models": 20, "/models/lab": 20}


def outputs(gpus: Sequence[Gpu], nics: Sequence[Nic], number: int) -> dict[str, dict[str, str]]:
    """All of them. `number` is the host part of the node's addresses."""
    return {
        "amd-smi": _amd_smi(gpus),
        "rocm-smi": {"-a --json": rocm_smi.run(["--showproductname", "--json"])[0]},
        "rocminfo": {"": rocminfo(gpus)},
        "rdma": {f"-j {table}": rdma_tools.rdma(["-j", table], nics)[0] for table in ("link", "statistic", "dev")},
        "ibv_devinfo": {"-v": rdma_tools.ibv_devinfo(["-v"], nics)[0]},
        "ibstat": {"": rdma_tools.ibstat([], nics)[0]},
        "show_gids": {"": rdma_tools.show_gids([], nics)[0]},
        "ethtool": {
            " ".join([*flag, nic.netdev]): rdma_tools.ethtool([*flag, nic.netdev], nics)[0]
            for nic in nics
            for flag in ([], ["-i"], ["-S"])
        },
        "mlnx_qos": {f"-i {nic.netdev}": QOS for nic in nics},
        "lspci": {"-D -nn": lspci(gpus, nics), "-D -nn -vvv": lspci(gpus, nics, verbose=True)},
        "dmesg": {"--time-format iso -x": DMESG},
        "numactl": {"-H": NUMACTL},
        "ip": _ip(nics, number),
        "df": _df(),
        "ss": {"-H -l -t -n -p": 'LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=900,fd=3))\n'},
        "ps": {
            "-eo pid=,ppid=,user:32=,stat=,etimes=,comm=": "1 0 root Ss 864000 systemd\n900 1 root Ss 863990 sshd\n"
        },
        "chronyc": {"-n tracking": CHRONY},
        "timedatectl": {"show": "Timezone=Etc/UTC\nLocalRTC=no\nCanNTP=yes\nNTP=yes\nNTPSynchronized=yes\n"},
        "systemctl": {"--failed --plain --no-pager": "  UNIT LOAD ACTIVE SUB DESCRIPTION\n0 loaded units listed.\n"},
        "systemd-detect-virt": {"": "none\n"},
        "modinfo": {"amdgpu": "filename:       /lib/modules/updates/dkms/amdgpu.ko\nversion:        6.16.6\n"},
        "lsmod": {"": "Module                  Size  Used by\namdgpu              20000000  0\nmlx5_ib  500000  0\n"},
        "pgrep": {"-f bench[_ ]serv": "", "-l ^(hipcc|clang|ninja)": ""},
    }


def _amd_smi(gpus: Sequence[Gpu]) -> dict[str, str]:
    said = {f"{name} --json": amd_smi.run([name, "--json"], gpus)[0] for name in (*amd_smi.PER_GPU, "version")}
    return {
        **said,
        "xgmi --json": json.dumps(_xgmi_documents(gpus), indent=4) + "\n",
        "ras --cper --severity fatal --json": "timestamp            gpu_id  severity    file_name\n",
    }


def _xgmi_documents(gpus: Sequence[Gpu]) -> dict[str, Any]:
    links = [
        {"gpu": gpu.number, "bdf": gpu.bdf, "link_status": ["SELF" if other is gpu else "U" for other in gpus]}
        for gpu in gpus
    ]
    return {"xgmi_metric": [_xgmi(gpu, gpus) for gpu in gpus], "link_status": links}


def _xgmi(gpu: Gpu, gpus: Sequence[Gpu]) -> dict[str, Any]:
    links = [
        {"gpu": other.number, "bdf": other.bdf, "read": amd_smi.value(0, "KB"), "write": amd_smi.value(0, "KB")}
        for other in gpus
        if other is not gpu
    ]
    rates = {"bit_rate": amd_smi.value(32, "Gb/s"), "max_bandwidth": amd_smi.value(512, "Gb/s"), "link_type": "XGMI"}
    return {"gpu": gpu.number, "bdf": gpu.bdf, "link_metrics": {**rates, "links": links}}


def rocminfo(gpus: Sequence[Gpu]) -> str:
    """The agents: two CPUs, then the GPUs; the lines that say what is what."""
    text = "ROCk module version 6.16.6 is loaded\n" + "=" * 21 + "\nHSA System Attributes\n" + "=" * 21 + "\n"
    text += "Runtime Version:         1.18\nDMAbuf Support:          YES\n\n==========\nHSA Agents\n==========\n"
    for number in range(2):
        text += _agent(number + 1, "AMD EPYC 9654 96-Core Processor", f"CPU-{number:02d}", "CPU", 0, 0)
    for gpu in gpus:
        text += _agent(
            gpu.number + 3, "gfx942", f"GPU-{gpu.serial[2:].lower()}", "GPU", int(gpu.bdf[5:7], 16) << 8, 304
        )
    return text + "*** Done ***\n"


def _agent(number: int, name: str, uuid: str, kind: str, bdfid: int, units: int) -> str:
    marketing = "AMD Instinct MI300X" if kind == "GPU" else name
    return (
        f"*******\nAgent {number}\n*******\n  Name:                    {name}\n  Uuid:                    {uuid}\n"
        f"  Marketing Name:          {marketing}\n  Vendor Name:             {'AMD' if kind == 'GPU' else 'CPU'}\n"
        f"  Node:                    {number - 1}\n  Device Type:             {kind}\n"
        f"  BDFID:                   {bdfid}\n  Compute Unit:            {units}\n"
    )


def lspci(gpus: Sequence[Gpu], nics: Sequence[Nic], *, verbose: bool = False) -> str:
    """`lspci -D -nn [-vvv]`: the accelerators and adapters."""
    devices = [
        f"{gpu.bdf} Processing accelerators [1200]: Advanced Micro Devices, Inc. [AMD/ATI] Aqua Vanjaram "
        "[Instinct MI300X] [1002:74a1]\n"
        for gpu in gpus
    ] + [
        f"{nic.bdf} Ethernet controller [0200]: Mellanox Technologies MT2910 Family [ConnectX-7] [15b3:1021]\n"
        for nic in nics
    ]
    bridge = "0000:00:01.1 PCI bridge [0604]: Advanced Micro Devices, Inc. [AMD] Device [1022:14ab]\n"
    if not verbose:
        return "".join([bridge, *devices])
    return "\n".join([bridge + _BRIDGE, *(device + _ENDPOINT for device in devices)])


_LINK = (
    "\t\tLnkCap:\tPort #0, Speed 32GT/s, Width x16, ASPM not supported\n"
    "\t\tLnkSta:\tSpeed 32GT/s (ok), Width x16 (ok)\n\t\t\tTrErr- Train- SlotClk+ DLActive+ BWMgmt- ABWMgmt-\n"
)
_BRIDGE = (
    f"\tCapabilities: [58] Express (v2) Root Port (Slot+), MSI 00\n{_LINK}"
    "\tCapabilities: [2a0 v1] Access Control Services\n"
    "\t\tACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans+\n"
    "\t\tACSCtl:\tSrcValid- TransBlk- ReqRedir- CmpltRedir- UpstreamFwd- EgressCtrl- DirectTrans-\n"
)
_ENDPOINT = (
    "\tCapabilities: [60] Express (v2) Endpoint, MSI 00\n"
    "\t\tDevCtl:\tCorrErr+ NonFatalErr+ FatalErr+ UnsupReq-\n"
    "\t\t\tRlxdOrd+ ExtTag+ PhantFunc- AuxPwr- NoSnoop+ FLReset-\n"
    f"\t\t\tMaxPayload 512 bytes, MaxReadReq 4096 bytes\n{_LINK}"
)


def _ip(nics: Sequence[Nic], number: int) -> dict[str, str]:
    def link(index: int, name: str, mtu: int, mac: str, up: bool = True) -> dict[str, Any]:
        flags = ["BROADCAST", "MULTICAST", "UP", *(["LOWER_UP"] if up else [])]
        state = "UP" if up else "DOWN"
        return {"ifindex": index, "ifname": name, "flags": flags, "mtu": mtu, "operstate": state, "address": mac}

    links = [link(2, "eth0", 1500, f"02:00:00:00:00:{number:02x}")]
    links += [link(nic.number + 3, nic.netdev, 9000, nic.mac, nic.up) for nic in nics]
    locals_ = [f"{DATA_NET}.{number}", *(nic.address for nic in nics)]
    addresses = [
        {**row, "addr_info": [{"family": "inet", "local": local, "prefixlen": 24, "scope": "global"}]}
        for row, local in zip(links, locals_, strict=True)
    ]
    rules: list[dict[str, Any]] = [{"priority": 0, "src": "all", "table": "local"}]
    routes: list[dict[str, Any]] = [{"dst": "default", "gateway": f"{DATA_NET}.254", "dev": "eth0"}]
    routes += [{"dst": f"{DATA_NET}.0/24", "dev": "eth0", "prefsrc": locals_[0], "scope": "link"}]
    for nic in nics:
        net = nic.address.rpartition(".")[0]
        rules.append({"priority": 1000 + nic.number, "src": nic.address, "table": str(100 + nic.number)})
        routes.append({"dst": f"{net}.0/24", "dev": nic.netdev, "prefsrc": nic.address, "scope": "link"})
        routes.append({"dst": "192.168.0.0/16", "gateway": f"{net}.254", "dev": nic.netdev, "table": 100 + nic.number})
    rules.append({"priority": 32766, "src": "all", "table": "main"})
    said = {"addr": addresses, "link": links, "rule": rules}
    return {
        **{f"-j {name}": json.dumps(rows) + "\n" for name, rows in said.items()},
        "-j -4 route show table all": json.dumps(routes) + "\n",
    }


def _df() -> dict[str, str]:
    head = "Filesystem 1-blocks Used Available Capacity Mounted on\n"

    def row(path: str) -> str:
        size = TERABYTES[path] << 40
        used = 0 if path == "/dev/shm" else size // 4
        device = "tmpfs" if path == "/dev/shm" else "/dev/nvme0n1p2"
        return f"{device} {size} {used} {size - used} {100 * used // size}% {path}\n"

    several = " ".join(path for path in ("/", "/dev/shm", "/tmp", "/var"))
    asked = {f"-P -B1 {several}": head + "".join(row(path) for path in several.split())}
    return asked | {f"-P -B1 -- {path}": head + row(path) for path in TERABYTES} | {"-P -B1 /": head + row("/")}


QOS = (
    "DCBX mode: OS controlled\nPriority trust state: dscp\ndscp2prio mapping:\n"
    + "".join(
        f"\tprio:{priority} dscp:{','.join(f'{8 * priority + low:02d}' for low in range(7, -1, -1))},\n"
        for priority in range(8)
    )
    + "default priority:\nReceive buffer size (bytes): 130944,130944,0,0,0,0,0,0,total_size=262016\n"
    "Cable len: 7\nPFC configuration:\n\tpriority    0   1   2   3   4   5   6   7\n"
    "\tenabled     0   0   0   1   0   0   0   0\n\tbuffer      0   0   0   1   0   0   0   0\n"
    "tc: 0 ratelimit: unlimited, tsa: ets, bw: 5%\n"
    + "".join(f"\t priority:  {priority}\n" for priority in (0, 1, 2, 4, 5, 6, 7))
    + "tc: 3 ratelimit: unlimited, tsa: ets, bw: 95%\n\t priority:  3\n"
)

DMESG = (
    "kern  :info  : 2026-11-12T00:00:01,000000+00:00 Linux version 6.8.0-60-generic\n"
    "kern  :info  : 2026-11-12T00:00:09,000000+00:00 [drm] amdgpu kernel modesetting enabled.\n"
    "kern  :info  : 2026-11-12T00:00:20,000000+00:00 mlx5_core 0000:1c:00.0 rdma0: Link up\n"
)

NUMACTL = (
    "available: 2 nodes (0-1)\nnode 0 cpus: 0 1 2 3\nnode 0 size: 1160868 MB\nnode 0 free: 1100000 MB\n"
    "node 1 cpus: 4 5 6 7\nnode 1 size: 1160868 MB\nnode 1 free: 1100000 MB\n"
    "node distances:\nnode   0   1\n  0:  10  32\n  1:  32  10\n"
)

CHRONY = (
    "Reference ID    : 0A010001 (10.1.0.1)\nStratum         : 3\nRef time (UTC)  : Sun Nov 22 12:00:00 2026\n"
    "System time     : 0.000012000 seconds fast of NTP time\nLast offset     : +0.000010000 seconds\n"
    "RMS offset      : 0.000020000 seconds\nFrequency       : 1.000 ppm slow\nResidual freq   : +0.000 ppm\n"
    "Skew            : 0.010 ppm\nRoot delay      : 0.000500000 seconds\nRoot dispersion : 0.000300000 seconds\n"
    "Update interval : 64.0 seconds\nLeap status     : Normal\n"
)
