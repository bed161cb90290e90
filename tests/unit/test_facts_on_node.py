"""What `init` collects on a host: counts from trees and tools as they are, unknown where there is nothing to read."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pdctl.control import facts_on_node


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """`host(path, text)` puts a file of /sys there; `host("bin/NAME", script)` a tool into PATH. Nothing else is."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    real_glob, real_open = glob.glob, open
    monkeypatch.setattr(glob, "glob", lambda pattern: real_glob(_below(tmp_path, pattern)))
    monkeypatch.setattr(facts_on_node, "open", lambda path: real_open(_below(tmp_path, path)), raising=False)

    def put(path: str, text: str) -> None:
        file = tmp_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    return put


def _below(root: Path, path: str) -> str:
    return path if path.startswith(str(root)) else f"{root}{path}"


def says(text: str, status: int = 0) -> str:
    return f"#!/bin/sh\nprintf '%s' '{text}'\nexit {status}\n"


def test_a_host_with_nothing_to_see_has_unknown_gpus(host: Callable[[str, str], None]) -> None:
    seen = facts_on_node.main({})
    assert (seen["gpus"], seen["gpu_ids"], seen["nics"], seen["addresses"]) == (None, [], [], {})
    assert not seen["docker"]
    assert seen["hostname"] == os.uname().nodename


def test_gpus_are_kfd_nodes_with_compute_units(host: Callable[[str, str], None]) -> None:
    for number, simds in enumerate((0, 1216, 1216)):
        text = f"cpu_cores_count 0\nsimd_count {simds}\ndevice_id 29857\n"
        host(f"/sys/class/kfd/kfd/topology/nodes/{number}/properties", text)
    seen = facts_on_node.main({})
    assert (seen["gpus"], seen["gpu_ids"]) == (2, ["0x74a1", "0x74a1"])


@pytest.mark.parametrize(
    ("listed", "count"),
    [
        ('[{"gpu": 0}, {"gpu": 1}]', 2),
        ('{"gpu_data": [{"gpu": 0}]}', 1),
        ('WARNING: a driver is old\n[{"gpu": 0}]', 1),
        ("[]", None),
        ("no GPUs", None),
        ('"text"', None),
    ],
)
def test_amd_smi_counts_where_kfd_shows_none(host: Callable[[str, str], None], listed: str, count: int | None) -> None:
    host("bin/amd-smi", says(listed))
    assert facts_on_node.main({})["gpus"] == count


LINKS: list[tuple[str, dict[str, Any]]] = [
    ('[{"ifname": "eth0", "addr_info": [{"local": "10.0.0.7"}, {"local": "10.0.0.8"}]}]', {"eth0": "10.0.0.7"}),
    ('[{"ifname": "eth0", "addr_info": []}]', {}),
    ("not json", {}),
]


@pytest.mark.parametrize(("shown", "expected"), LINKS)
def test_the_first_address_of_each_interface(
    host: Callable[[str, str], None], shown: str, expected: dict[str, Any]
) -> None:
    host("bin/ip", says(shown))
    assert facts_on_node.main({})["addresses"] == expected


def test_rdma_devices_of_sysfs_come_before_the_tools(host: Callable[[str, str], None]) -> None:
    host("bin/ip", says('[{"ifname": "rdma0", "addr_info": [{"local": "10.1.0.7"}]}]'))
    host("bin/rdma", says('[{"netdev": "rdma0"}, {"netdev": "rdma1"}]'))
    with_tool = [{"netdev": "rdma0", "address": "10.1.0.7"}, {"netdev": "rdma1", "address": None}]
    assert facts_on_node.main({})["nics"] == with_tool
    host("/sys/class/infiniband/mlx5_0/device/net/rdma0/address", "")
    assert facts_on_node.main({})["nics"] == [{"netdev": "rdma0", "address": "10.1.0.7"}]
