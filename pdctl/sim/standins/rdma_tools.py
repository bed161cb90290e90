"""`rdma link|statistic|dev`, `ibv_devinfo`, `ibstat`, `show_gids` and `ethtool` of a node with ConnectX-7 adapters."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

from pdctl.sim.standins import facts
from pdctl.sim.standins.facts import Nic

ERROR_COUNTERS = (
    "out_of_sequence",
    "packet_seq_err",
    "local_ack_timeout_err",
    "rnr_nak_retry_err",
    "out_of_buffer",
    "duplicate_request",
    "implied_nak_seq_err",
    "np_cnp_sent",
    "rp_cnp_handled",
    "np_ecn_marked_roce_packets",
)


def adapters(given: Sequence[Nic] | None) -> Sequence[Nic]:
    return facts.nics() if given is None else given


def rdma(argv: Sequence[str], nics: Sequence[Nic] | None = None) -> tuple[str, int]:
    """`rdma [-j] [-p] link|statistic|dev [show]`; of this node's adapters where none are given."""
    words = [word for word in argv if not word.startswith("-")]
    as_json = any(word.startswith("-") and "j" in word for word in argv)
    tables: dict[str, Callable[[Nic], dict[str, Any]]] = {"link": _link, "statistic": _statistic, "dev": _device}
    name = next((full for full in tables if words and full.startswith(words[0])), None)
    if name is None:
        return f'Unknown argument "{words[0] if words else ""}".\n', 255
    rows = [tables[name](nic) for nic in adapters(nics)]
    if as_json:
        return json.dumps(rows) + "\n", 0
    return "".join(_rdma_line(name, row) for row in rows), 0


def _link(nic: Nic) -> dict[str, Any]:
    return {
        "ifindex": nic.number,
        "ifname": nic.device,
        "port": 1,
        "state": "ACTIVE" if nic.up else "DOWN",
        "physical_state": "LINK_UP" if nic.up else "DISABLED",
        "netdev": nic.netdev,
        "netdev_index": nic.number + 2,
    }


def _statistic(nic: Nic) -> dict[str, Any]:
    traffic = {"rx_write_requests": 0, "rx_read_requests": 0, "rx_atomic_requests": 0}
    return {"ifname": nic.device, "port": 1, **traffic, **dict.fromkeys(ERROR_COUNTERS, 0)}


def _device(nic: Nic) -> dict[str, Any]:
    guid = facts.colon_guid(nic.guid)
    return {
        "ifindex": nic.number,
        "ifname": nic.device,
        "node_type": "ca",
        "fw": nic.firmware,
        "node_guid": guid,
        "sys_image_guid": guid,
    }


def _rdma_line(table: str, row: dict[str, Any]) -> str:
    if table == "dev":
        rest = " ".join(f"{key} {text}" for key, text in row.items() if key not in ("ifindex", "ifname"))
        return f"{row['ifindex']}: {row['ifname']}: {rest}\n"
    skipped = ("ifindex", "ifname", "port", "netdev_index")
    rest = " ".join(f"{key} {text}" for key, text in row.items() if key not in skipped)
    return f"link {row['ifname']}/{row['port']} {rest}\n"


def ibv_devinfo(argv: Sequence[str], nics: Sequence[Nic] | None = None) -> tuple[str, int]:
    """`ibv_devinfo [-d DEVICE] [-v]`; with -v the GID table too."""
    chosen = [nic for nic in adapters(nics) if "-d" not in argv or nic.device in argv]
    if not chosen:
        return "No IB devices found\n", 255
    return "\n".join(_devinfo(nic, verbose="-v" in argv) for nic in chosen), 0


def _devinfo(nic: Nic, *, verbose: bool) -> str:
    guid = facts.colon_guid(nic.guid)
    head = {
        "transport": "InfiniBand (0)",
        "fw_ver": nic.firmware,
        "node_guid": guid,
        "sys_image_guid": guid,
        "vendor_id": "0x02c9",
        "vendor_part_id": "4129",
        "hw_ver": "0x0",
        "board_id": "SIM0000000001",
        "phys_port_cnt": "1",
    }
    port = {
        "state": "PORT_ACTIVE (4)" if nic.up else "PORT_DOWN (1)",
        "max_mtu": "4096 (5)",
        "active_mtu": "4096 (5)",
        "sm_lid": "0",
        "port_lid": "0",
        "port_lmc": "0x00",
        "link_layer": "Ethernet",
    }
    text = f"hca_id:\t{nic.device}\n" + "".join(f"\t{key + ':':<32}{item}\n" for key, item in head.items())
    text += "\t\tport:\t1\n" + "".join(f"\t\t\t{key + ':':<24}{item}\n" for key, item in port.items())
    for index, gid, _, version in facts.gids(nic) if verbose else ():
        text += f"\t\t\tGID[{index:3d}]:\t\t{gid}, RoCE {version}\n"
    return text


def ibstat(argv: Sequence[str], nics: Sequence[Nic] | None = None) -> tuple[str, int]:
    """`ibstat [DEVICE]`."""
    chosen = [nic for nic in adapters(nics) if not argv or nic.device in argv]
    return "".join(_ibstat(nic) for nic in chosen), 0


def _ibstat(nic: Nic) -> str:
    return (
        f"CA '{nic.device}'\n\tCA type: MT4129\n\tNumber of ports: 1\n\tFirmware version: {nic.firmware}\n"
        f"\tHardware version: 0\n\tNode GUID: 0x{nic.guid:016x}\n\tSystem image GUID: 0x{nic.guid:016x}\n"
        f"\tPort 1:\n\t\tState: {'Active' if nic.up else 'Down'}\n"
        f"\t\tPhysical state: {'LinkUp' if nic.up else 'Disabled'}\n"
        f"\t\tRate: {nic.gbps if nic.up else 40}\n\t\tBase lid: 0\n\t\tLMC: 0\n"
        f"\t\tSM lid: 0\n\t\tCapability mask: 0x00010000\n\t\tPort GUID: 0x{nic.guid:016x}\n"
        "\t\tLink layer: Ethernet\n"
    )


def show_gids(argv: Sequence[str], nics: Sequence[Nic] | None = None) -> tuple[str, int]:
    """`show_gids [DEVICE]`."""
    lines = ["DEV\tPORT\tINDEX\tGID\t\t\t\t\tIPv4  \t\tVER\tDEV"]
    lines += ["---\t----\t-----\t---\t\t\t\t\t------------  \t---\t---"]
    rows = []
    for nic in adapters(nics):
        if argv and nic.device not in argv:
            continue
        for index, gid, address, version in facts.gids(nic):
            ipv4 = f"{address}  " if address else "\t"
            rows.append(f"{nic.device}\t1\t{index}\t{gid}\t{ipv4}\t{version}\t{nic.netdev}")
    return "\n".join([*lines, *rows, f"n_gids_found={len(rows)}"]) + "\n", 0


def ethtool(argv: Sequence[str], nics: Sequence[Nic] | None = None) -> tuple[str, int]:
    """`ethtool DEVICE`, `ethtool -i DEVICE`, `ethtool -S DEVICE`."""
    nic = next((nic for nic in adapters(nics) if argv and nic.netdev == argv[-1]), None)
    if nic is None:
        return "netlink error: No such device\n", 75
    if "-i" in argv:
        return (
            f"driver: mlx5_core\nversion: 6.8.0\nfirmware-version: {nic.firmware} (SIM0000000001)\n"
            f"expansion-rom-version: \nbus-info: {nic.bdf}\nsupports-statistics: yes\n"
        ), 0
    if "-S" in argv:
        names = ["rx_packets", "tx_packets", "rx_discards_phy", "tx_discards_phy", "link_down_events_phy"]
        names += [f"{way}_prio{number}_pause" for number in range(8) for way in ("rx", "tx")]
        return "NIC statistics:\n" + "".join(f"     {name}: 0\n" for name in names), 0
    speed = f"{nic.gbps}000Mb/s" if nic.up else "Unknown!"
    return (
        f"Settings for {nic.netdev}:\n\tSupported ports: [ Backplane ]\n\tSpeed: {speed}\n"
        "\tLanes: 4\n\tDuplex: Full\n\tAuto-negotiation: on\n\tPort: Direct Attach Copper\n\tPHYAD: 0\n"
        f"\tTransceiver: internal\n\tLink detected: {'yes' if nic.up else 'no'}\n"
    ), 0


TOOLS: dict[str, Callable[..., tuple[str, int]]] = {
    "rdma": rdma,
    "ibv_devinfo": ibv_devinfo,
    "ibstat": ibstat,
    "show_gids": show_gids,
    "ethtool": ethtool,
}


def main() -> None:
    text, status = TOOLS[PurePath(sys.argv[0]).name](sys.argv[1:])
    (sys.stdout if status == 0 else sys.stderr).write(text)
    sys.exit(status)
