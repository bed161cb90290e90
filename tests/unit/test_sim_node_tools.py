"""The stand-ins for amd-smi, rocm-smi and the RDMA tools: formats of ROCm 7 and of a ConnectX-7 node."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from pdctl.sim.standins import amd_smi, facts, rdma_tools, rocm_smi


@pytest.fixture(autouse=True)
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PDCTL_SIM_NODE", "n1")
    monkeypatch.setenv("PDCTL_SIM_VRAM_DIR", str(tmp_path))
    return tmp_path


def amd(*argv: str) -> Any:
    text, status = amd_smi.run([*argv, "--json"])
    assert status == 0
    return json.loads(text)


@pytest.mark.parametrize(
    ("command", "wrapped"),
    [("list", False), ("process", False), ("topology", False), ("firmware", False), ("static", True), ("metric", True)],
)
def test_eight_gpus_in_the_shape_of_rocm_7(command: str, wrapped: bool) -> None:
    answer = amd(command)
    gpus = answer["gpu_data"] if wrapped else answer
    assert [gpu["gpu"] for gpu in gpus] == list(range(8))


def test_a_gpu_is_told_apart_by_its_node_and_index(monkeypatch: pytest.MonkeyPatch) -> None:
    here = [gpu["uuid"] for gpu in amd("list")]
    assert amd("list", "-g", "3") == [amd("list")[3]]
    monkeypatch.setenv("PDCTL_SIM_NODE", "n2")
    there = [gpu["uuid"] for gpu in amd("list")]
    assert len({*here, *there}) == 16
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid) for uuid in here)


def used_mib(gpu: int) -> int:
    return int(amd("metric")["gpu_data"][gpu]["mem_usage"]["used_vram"]["value"])


def test_an_idle_gpu_holds_only_what_the_driver_needs() -> None:
    assert amd("static")["gpu_data"][0]["vram"]["size"] == {"value": 196288, "unit": "MB"}
    assert used_mib(0) / 196288 < 0.05


def test_memory_counts_while_its_holder_lives(node: Path) -> None:
    (node / "0.engine").write_text(f"{10 << 30} {os.getpid()}")
    (node / "0.other").write_text(f"{1 << 30}")  # held by nobody in particular: stays
    (node / "1").write_text(f"{10 << 30} 4194305")  # no such process: above the kernel's largest pid
    (node / "2").write_text("")  # being written
    assert [used_mib(gpu) - used_mib(7) for gpu in (0, 1, 2)] == [11 * 1024, 0, 0]
    (info,) = amd("process")[0]["process_list"]
    assert info["process_info"]["pid"] == os.getpid()
    assert amd("process")[1]["process_list"] == [{"process_info": "No running processes detected"}]
    pids = json.loads(rocm_smi.run(["--showpids", "--json"])[0])["system"]
    assert pids == {f"PID{os.getpid()}": f"python3, 1, {10 << 30}, 0, 0"}


def test_rocm_smi_agrees_with_amd_smi(node: Path) -> None:
    (node / "5").write_text(str(7 << 30))
    cards = json.loads(rocm_smi.run(["--showmeminfo", "vram", "--json"])[0])
    assert len(cards) == 8
    assert int(cards["card5"]["VRAM Total Used Memory (B)"]) >> 20 == used_mib(5)


def test_without_json_amd_smi_prints_its_indented_text() -> None:
    text, _ = amd_smi.run(["metric", "-g", "0"])
    assert text.startswith("GPU: 0\n    USAGE:\n        GFX_ACTIVITY: 0 %\n")


def test_an_unknown_subcommand_is_an_error() -> None:
    assert amd_smi.run(["frobnicate"])[1] != 0
    assert rdma_tools.rdma(["frobnicate"])[1] != 0


def test_the_rdma_tools_agree_on_eight_active_adapters() -> None:
    links = json.loads(rdma_tools.rdma(["-j", "link"])[0])
    names = [link["ifname"] for link in links]
    assert len(set(names)) == 8
    assert {(link["state"], link["physical_state"]) for link in links} == {("ACTIVE", "LINK_UP")}
    assert [row["ifname"] for row in json.loads(rdma_tools.rdma(["statistic", "show", "-j"])[0])] == names
    assert re.findall(r"^hca_id:\t(\S+)$", rdma_tools.ibv_devinfo([])[0], re.M) == names
    assert re.findall(r"^CA '(\S+)'$", rdma_tools.ibstat([])[0], re.M) == names
    assert re.findall(r"^link (\S+)/1 state ACTIVE", rdma_tools.rdma(["link"])[0], re.M) == names


def test_every_adapter_has_a_routable_roce_v2_gid_at_index_3() -> None:
    rows = [line.split() for line in rdma_tools.show_gids([])[0].splitlines()[2:-1]]
    assert len(rows) == 32
    routable = [row for row in rows if row[2] == "3"]
    assert {row[-2] for row in routable} == {"v2"}
    assert [row[4] for row in routable] == [nic.address for nic in facts.nics()]


def test_ethtool_knows_the_nodes_devices_only() -> None:
    device = facts.nics()[0].netdev
    assert "Speed: 400000Mb/s" in rdma_tools.ethtool([device])[0]
    assert "rx_prio3_pause: 0" in rdma_tools.ethtool(["-S", device])[0]
    assert rdma_tools.ethtool(["eth99"])[1] != 0
