"""What `pdctl init` needs to know of a node. Stdlib only, Python >= 3.6; it collects and never judges.

Reply: {"hostname", "gpus": count or null, "gpu_ids": [PCI device ids], "nics": [{"netdev", "address"}],
"addresses": {netdev: IPv4}, "systemd": bool, "docker": bool, "python": path}.
"""

import glob
import json
import os
import platform
import shutil
import subprocess
import sys
from typing import Any, Dict, List, Optional

TOOL_TIMEOUT_S = 10


def read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read(65536).strip()
    except OSError:
        return ""


def kfd_devices() -> List[str]:
    """PCI device ids of the GPUs that the amdgpu driver's KFD topology lists (a CPU node has simd_count 0)."""
    found = []
    for path in sorted(glob.glob("/sys/class/kfd/kfd/topology/nodes/*/properties")):
        facts = dict(line.split(" ", 1) for line in read(path).splitlines() if " " in line)
        if int(facts.get("simd_count", "0")) > 0:
            found.append("0x%04x" % int(facts.get("device_id", "0")))
    return found


def tool_count() -> Optional[int]:
    """How many GPUs `amd-smi list --json` shows; None where the tool is absent or says nothing usable."""
    if not shutil.which("amd-smi"):
        return None
    try:
        ran = subprocess.run(
            ["amd-smi", "list", "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TOOL_TIMEOUT_S,
        )
        text = ran.stdout.decode("utf-8", "replace")
        listed = json.loads(text[min(text.index(mark) for mark in "[{" if mark in text) :])
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if isinstance(listed, dict):
        listed = listed.get("gpu_data", [])
    return len(listed) if isinstance(listed, list) and listed else None


def addresses() -> Dict[str, str]:
    """The first global IPv4 address of each interface, by `ip -j`."""
    try:
        ran = subprocess.run(
            ["ip", "-j", "-4", "address", "show", "scope", "global"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TOOL_TIMEOUT_S,
        )
        links = json.loads(ran.stdout.decode("utf-8", "replace"))
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    return {link["ifname"]: link["addr_info"][0]["local"] for link in links if link.get("addr_info")}


def rdma_links() -> List[str]:
    """Network interfaces of the RDMA devices, by `rdma -j link`, where sysfs shows none."""
    try:
        ran = subprocess.run(
            ["rdma", "-j", "link"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TOOL_TIMEOUT_S,
        )
        return [str(link.get("netdev", "")) for link in json.loads(ran.stdout.decode("utf-8", "replace"))]
    except (OSError, ValueError, AttributeError, subprocess.SubprocessError):
        return []


def nics(by_netdev: Dict[str, str]) -> List[Dict[str, Any]]:
    """The RDMA devices, each with its network interface and that interface's address."""
    found = []
    for path in sorted(glob.glob("/sys/class/infiniband/*")):
        netdevs = sorted(os.path.basename(each) for each in glob.glob(os.path.join(path, "device/net/*")))
        netdev = netdevs[0] if netdevs else ""
        found.append({"netdev": netdev, "address": by_netdev.get(netdev)})
    return found or [{"netdev": netdev, "address": by_netdev.get(netdev)} for netdev in rdma_links()]


def main(payload: Dict[str, Any]) -> Dict[str, Any]:
    by_netdev = addresses()
    devices = kfd_devices()
    return {
        "hostname": platform.node(),
        "gpus": len(devices) or tool_count(),
        "gpu_ids": devices,
        "nics": nics(by_netdev),
        "addresses": by_netdev,
        "systemd": os.path.isdir("/run/systemd/system"),
        "docker": bool(shutil.which("docker")),
        "python": sys.executable,
    }
