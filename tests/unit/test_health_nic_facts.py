"""RDMA devices from an envelope: how they belong together, which rail is which, what tools say otherwise, counters."""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Interface
from typing import TypeVar

import pytest

from pdctl.health.envelope import Envelope, File
from pdctl.health.nic_device import RdmaDevice, Vendor
from pdctl.health.nic_facts import NicFacts, nic_facts
from pdctl.health.nic_firmware import version_key
from pdctl.health.nic_rails import rails, rails_by_gpu, rails_by_network
from pdctl.model.reading import Known, Reading, Unknown
from tests import tool_outputs
from tests.unit.health_nodes import changed, healthy

T = TypeVar("T")
IB = "/sys/class/infiniband"


def known(reading: Reading[T]) -> T:
    assert isinstance(reading, Known), reading
    return reading.value


def devices(facts: NicFacts) -> dict[str, RdmaDevice]:
    return {device.name: device for device in known(facts.devices)}


def rail_names(facts: NicFacts) -> list[str]:
    found = known(facts.devices)
    return [device.name for device in known(rails(found, facts.affinity))]


def from_files(files: dict[str, str]) -> NicFacts:
    """Facts of an envelope that holds these files and nothing else."""
    return nic_facts(Envelope(files={path: File(text=text) for path, text in files.items()}))


def flattened(name: str) -> dict[str, str]:
    """Files of a `grep -r .` listing of /sys/class/infiniband."""
    found = {}
    for line in tool_outputs.read(name).splitlines():
        path, _, text = line.partition(":")
        found[f"{IB}/{path.split('/', 1)[1]}"] = f"{text}\n"
    return found


def ttar(name: str) -> dict[str, str]:
    """Files of a text archive (github.com/ideaship/ttar)."""
    rows = re.findall(r"^Path: fixtures(\S+)\nLines: (\d+)\n((?:.*\n)*?)Mode:", tool_outputs.read(name), re.MULTILINE)
    return {path: text for path, _, text in rows}


def test_a_healthy_node_of_eight_rails() -> None:
    facts = nic_facts(healthy())
    found = devices(facts)
    assert list(found) == [f"mlx5_{number}" for number in range(8)]
    device = found["mlx5_3"]
    assert (known(device.vendor), known(device.netdev), known(device.driver)) == (Vendor.NVIDIA, "rdma3", "mlx5_core")
    assert device.ipv4 == (IPv4Interface("192.168.19.1/24"),)
    assert known(device.best_gid).index == 3
    assert (known(device.mtu_bytes), known(device.active_mtu_bytes)) == (9000, 4096)
    assert (known(device.pcie.speed_gts), known(device.pcie.width)) == (32.0, 16)
    assert known(facts.affinity["mlx5_3"]).gpu == 3
    assert known(facts.management) == "eth0"
    assert facts.disagreements == ()
    assert known(facts.qos["mlx5_3"].dcqcn) is True
    assert known(facts.versions.peer_memory) == ("amdkfd",)


def test_faults_are_seen_where_they_are() -> None:
    faults: dict[str, str | None] = {
        f"{IB}/mlx5_2/ports/1/state": "1: DOWN\n",
        f"{IB}/mlx5_2/ports/1/phys_state": "3: Disabled\n",
        f"{IB}/mlx5_5/ports/1/rate": "200 Gb/sec (4X HDR)\n",
        **{f"{IB}/mlx5_6/ports/1/gid_attrs/types/{index}": "IB/RoCE v1\n" for index in range(4)},
    }
    found = devices(nic_facts(changed(healthy(), files=faults)))
    down, slow = found["mlx5_2"].port, found["mlx5_5"].port
    assert down is not None
    assert slow is not None
    assert (known(down.state), known(down.physical)) == ("DOWN", "Disabled")
    assert known(slow.rate_gbps) == 200.0
    assert isinstance(found["mlx5_6"].best_gid, Unknown)


def test_real_h100_nodes() -> None:
    found = devices(from_files(flattened("sysfs_infiniband/gpud-sys-class-infiniband-h100.grep.txt")))
    port = found["mlx5_0"].port
    assert port is not None
    assert (known(port.state), known(port.rate_gbps), known(port.link_layer)) == ("ACTIVE", 400.0, "InfiniBand")
    assert known(found["mlx5_0"].firmware) == "28.41.1000"
    assert isinstance(found["mlx5_0"].vendor, Unknown)
    assert all(isinstance(each.port.state, Known) for each in found.values() if each.port is not None)


def test_other_hardware_and_counters_that_do_not_exist() -> None:
    facts = from_files(ttar("sysfs_infiniband/procfs-sys-class-infiniband.ttar"))
    found = devices(facts)
    assert {name: len(device.ports) for name, device in found.items()} == {"hfi1_0": 1, "mlx4_0": 2, "mlx5_0": 1}
    port = found["hfi1_0"].port
    assert port is not None
    assert known(port.rate_gbps) == 100.0
    assert {counted.id.counter for counted in facts.counters if counted.id.device == "mlx5_0"} == {"link_downed"}


@pytest.mark.parametrize(
    ("name", "rates"),
    [("learn_good", {200.0}), ("learn_ib_intf_bad_rate", {100.0}), ("learn_ib_intf_operstate_down", {200.0})],
)
def test_manifests_of_another_monitor(name: str, rates: set[float]) -> None:
    said = json.loads(tool_outputs.read(f"gcm_iblink/{name}.json"))
    files = {
        re.sub(r"^/sys/bus/pci/devices/[^/]+/infiniband", IB, path): text for path, text in said.items() if text.strip()
    }
    found = devices(from_files(files))
    seen = {known(device.port.rate_gbps) for device in found.values() if device.port is not None}
    assert rates <= seen


def test_rails_follow_networks_whatever_the_names() -> None:
    """Two names swapped by a reboot: the device on network 17 is rail 1 still."""
    envelope = healthy()
    swap = {"mlx5_1": "mlx5_4", "mlx5_4": "mlx5_1"}

    def other(path: str) -> str:
        return re.sub(r"mlx5_[14]\b", lambda match: swap[match.group()], path)

    moved = envelope.model_copy(
        update={
            "files": {other(path) if path.startswith(IB) else path: file for path, file in envelope.files.items()},
            "links": {other(path) if path.startswith(IB) else path: to for path, to in envelope.links.items()},
        }
    )
    facts = nic_facts(moved)
    order = rail_names(facts)
    assert order == ["mlx5_0", "mlx5_4", "mlx5_2", "mlx5_3", "mlx5_1", "mlx5_5", "mlx5_6", "mlx5_7"]
    found = known(facts.devices)
    by_gpu = known(rails_by_gpu(found, facts.affinity))
    assert [device.name for device in by_gpu] == order


def test_without_addresses_rails_follow_the_gpus_and_without_paths_nothing_is_said() -> None:
    facts = nic_facts(changed(healthy(), outputs={"ip.addr": None}))
    found = known(facts.devices)
    assert isinstance(rails_by_network(found), Unknown)
    assert rail_names(facts) == [f"mlx5_{number}" for number in range(8)]
    blind = nic_facts(changed(healthy(), outputs={"ip.addr": None}, links={}))
    found = known(blind.devices)
    assert isinstance(rails(found, blind.affinity), Unknown)


def test_a_rail_in_a_bond_has_the_bonds_address() -> None:
    text = json.dumps(
        [
            {"ifname": "rdma0", "master": "bond0", "operstate": "UP", "mtu": 9000},
            {"ifname": "bond0", "addr_info": [{"family": "inet", "local": "10.9.0.1", "prefixlen": 24}]},
        ]
    )
    link = healthy().items["rdma.link"].stdout.replace('"rdma0"', '"bond0"')
    facts = nic_facts(changed(healthy(), outputs={"ip.addr": text, "rdma.link": link}))
    device = devices(facts)["mlx5_0"]
    assert facts.disagreements == ()
    assert (device.master, device.ipv4) == ("bond0", (IPv4Interface("10.9.0.1/24"),))


def test_what_tools_say_otherwise_is_kept_with_both_words() -> None:
    text = healthy().items["rdma.link"].stdout.replace('"state": "ACTIVE"', '"state": "INIT"', 1)
    facts = nic_facts(changed(healthy(), outputs={"rdma.link": text}))
    (odd,) = facts.disagreements
    assert (odd.device, odd.what) == ("mlx5_0", "port state")
    assert [value for _, value in odd.said] == ["ACTIVE", "INIT"]
    port = devices(facts)["mlx5_0"].port
    assert port is not None
    assert known(port.state) == "ACTIVE"


def test_a_gid_table_that_a_tool_shows_otherwise() -> None:
    text = (
        healthy()
        .items["show_gids"]
        .stdout.replace("192.168.16.1", "192.168.16.1")
        .replace("\tv2\trdma0", "\tv1\trdma0")
    )
    (odd,) = nic_facts(changed(healthy(), outputs={"show_gids": text})).disagreements
    assert (odd.device, odd.what) == ("mlx5_0", "GID 1")


def test_tools_that_are_not_there_contradict_nobody() -> None:
    silent = dict.fromkeys(("rdma.link", "rdma.dev", "ibv_devinfo", "ibstat", "show_gids"))
    assert nic_facts(changed(healthy(), outputs=dict(silent))).disagreements == ()


def test_no_file_at_all_is_unknown_and_no_rdma_file_is_no_device() -> None:
    assert isinstance(nic_facts(Envelope()).devices, Unknown)
    assert known(from_files({"/proc/uptime": "1.0 1.0\n"}).devices) == ()
    stuck = nic_facts(changed(healthy(), missing=(f"{IB}/*: out of time",)))
    assert isinstance(stuck.devices, Unknown)


def test_counters_are_those_of_the_vendor_with_every_look_at_them() -> None:
    path = f"{IB}/mlx5_0/ports/1/hw_counters/out_of_sequence"
    envelope = healthy()
    moving = envelope.model_copy(update={"samples": {**envelope.samples, path: ("5\n", "5\n", "9\n")}})
    (counted,) = [
        counted
        for counted in nic_facts(moving).counters
        if (counted.id.device, counted.id.counter) == ("mlx5_0", "out_of_sequence")
    ]
    assert counted.values == (5, 5, 9)
    assert counted.id.identity


def test_real_hw_counters_are_read_for_their_vendor() -> None:
    rows = [line.split() for line in tool_outputs.read("sysfs_infiniband/mlx5-hw_counters-real.txt").splitlines()]
    files = {f"{IB}/mlx5_0/ports/1/hw_counters/{name}": f"{value}\n" for name, value in rows}
    facts = from_files({**files, f"{IB}/mlx5_0/device/vendor": "0x15b3\n", f"{IB}/mlx5_0/ports/1/state": "4: ACTIVE\n"})
    values = {counted.id.counter: counted.values for counted in facts.counters}
    assert (values["out_of_buffer"], values["out_of_sequence"], values["local_ack_timeout_err"]) == (
        (1149772,),
        (44,),
        (38,),
    )


@pytest.mark.parametrize("name", ["rocep68s0", "rocep132s0"])
def test_a_pollara_is_known_by_its_vendor_id(name: str) -> None:
    text = tool_outputs.read(f"nicctl/sys_class_infiniband_{name}_device_vendor.txt")
    found = devices(from_files({f"{IB}/{name}/device/vendor": text, f"{IB}/{name}/ports/1/state": "4: ACTIVE\n"}))
    assert known(found[name].vendor) is Vendor.AMD


def test_versions_compare_by_their_numbers() -> None:
    assert version_key("1.117.1-a-63") < version_key("1.117.5-a-45")
    assert version_key("235.2.86.0") > version_key("231.1.162.1")


def test_peer_memory_needs_a_module_or_dmabuf() -> None:
    without = changed(healthy(), files={"/sys/kernel/mm/memory_peers/amdkfd/version": None})
    assert isinstance(nic_facts(without).versions.peer_memory, Unknown)
    config = changed(without, outputs={"kernel.config": "CONFIG_DMABUF_MOVE_NOTIFY=y\n"})
    assert known(nic_facts(config).versions.peer_memory) == ("dmabuf",)
    neither = changed(without, outputs={"kernel.config": "CONFIG_HSA_AMD=y\n"})
    assert known(nic_facts(neither).versions.peer_memory) == ()
