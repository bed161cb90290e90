"""Node side: NIC counters and GPU figures from sysfs, raw. Stdlib only, Python >= 3.6; judges nothing.

A file that cannot be read is left out, so that a missing key means "not known", never 0. Counters: Linux
Documentation/ABI/stable/sysfs-class-infiniband (port_xmit_data and port_rcv_data count 4-byte words); GPU files: Linux
Documentation/gpu/amdgpu.
"""

import glob
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ERRORS = (
    "out_of_sequence",
    "packet_seq_err",
    "local_ack_timeout_err",
    "rnr_nak_retry_err",
    "to_retransmits",
    "seq_err_naks_rcvd",
    "max_retry_exceeded",
    "rx_roce_discards",
    "req_rx_pkt_seq_err",
    "resp_rx_outouf_seq",
    "tx_rdma_ack_timeout",
)
"""Error counters of mlx5, bnxt_re and ionic; each device has some of them."""


def read_node(root: str = "") -> "dict[str, Any]":
    """NICs by RDMA device, GPUs by their order on the PCI bus."""
    nics = {}
    for path in sorted(glob.glob(root + "/sys/class/infiniband/*")):
        nics[os.path.basename(path)] = nic(path + "/ports/1")
    gpus = {}
    found = sorted({os.path.realpath(path) for path in glob.glob(root + "/sys/class/drm/card*/device")})
    index = 0
    for path in found:
        if word(path + "/vendor") == "0x1002" and number(path + "/mem_info_vram_total"):
            gpus[str(index)] = gpu(path)
            index += 1
    return {"nics": nics, "gpus": gpus}


def nic(port: str) -> "dict[str, Any]":
    words = {
        "tx_words": number(port + "/counters/port_xmit_data"),
        "rx_words": number(port + "/counters/port_rcv_data"),
    }
    errors = [number(port + "/hw_counters/" + name) for name in ERRORS]
    known = [count for count in errors if count is not None]
    figures: "dict[str, Any]" = dict(words, errors=sum(known) if known else None)
    figures["state"] = word(port + "/state").partition(": ")[2] or None
    rate = word(port + "/rate").partition(" ")[0]
    figures["rate_gbps"] = float(rate) if rate.replace(".", "", 1).isdigit() else None
    return {key: value for key, value in figures.items() if value is not None}


def gpu(device: str) -> "dict[str, Any]":
    figures: "dict[str, Any]" = {
        "vram_used": number(device + "/mem_info_vram_used"),
        "vram_total": number(device + "/mem_info_vram_total"),
        "busy_percent": number(device + "/gpu_busy_percent"),
        "ecc_uncorrectable": uncorrectable(device + "/ras"),
    }
    for hwmon in glob.glob(device + "/hwmon/hwmon*"):
        figures["power_uw"] = number(hwmon + "/power1_average") or number(hwmon + "/power1_input")
        for label in glob.glob(hwmon + "/temp*_label"):
            if word(label) == "junction":
                figures["temperature_mc"] = number(label.replace("_label", "_input"))
    return {key: value for key, value in figures.items() if value is not None}


def uncorrectable(ras: str) -> "int | None":
    counts = []
    for path in glob.glob(ras + "/*_err_count"):
        for line in text(path).splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "ue" and value.strip().isdigit():
                counts.append(int(value))
    return sum(counts) if counts else None


def number(path: str) -> "int | None":
    found = word(path)
    return int(found) if found.isdigit() else None


def word(path: str) -> str:
    return text(path).strip()


def text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read(4096)
    except (OSError, ValueError):
        return ""
