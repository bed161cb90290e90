"""NIC checks: one planted fault gives exactly its own finding, with device and severity; what is unknown is no pass."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from pdctl.health.envelope import Item
from pdctl.health.finding import Verdict
from pdctl.model.role import Connector, SupervisorKind
from tests.unit.deployments import r1_2p3d
from tests.unit.health_fleet import judge_envelopes
from tests.unit.health_nodes import changed, healthy
from tests.unit.health_verdicts import NODE, findings, passed, said, under, with_env

IB = "/sys/class/infiniband"
PORT2 = f"{IB}/mlx5_2/ports/1"

QOS = healthy().items["mlnx_qos.rdma4"].stdout
LSPCI = healthy().items["lspci.vvv"].stdout
V1: dict[str, str | None] = {f"{IB}/mlx5_6/ports/1/gid_attrs/types/{index}": "IB/RoCE v1\n" for index in range(4)}

FAULTS: dict[str, tuple[dict[str, str | None], dict[str, str | None], set[tuple[str, str, str, str]]]] = {
    "a port that is down": (
        {
            f"{PORT2}/state": "1: DOWN\n",
            f"{PORT2}/phys_state": "3: Disabled\n",
            f"{PORT2}/rate": "40 Gb/sec (4X QDR)\n",
        },
        {},
        {("nic.port_state", "mlx5_2", "fail", "block")},
    ),
    "a port that is not yet active": (
        {f"{PORT2}/state": "2: INIT\n"},
        {},
        {("nic.port_state", "mlx5_2", "fail", "block")},
    ),
    "half the rate on one rail": (
        {f"{PORT2}/rate": "200 Gb/sec (4X HDR)\n"},
        {},
        {("nic.rate", "mlx5_2", "fail", "block")},
    ),
    "another link layer": (
        {f"{PORT2}/link_layer": "InfiniBand\n"},
        {},
        {("nic.link_layer", "mlx5_2", "fail", "block")},
    ),
    "only RoCE v1": (dict(V1), {}, {("nic.gid", "mlx5_6", "fail", "block")}),
    "a GID table that is shifted on one rail": (
        {
            f"{PORT2}/gids/3": None,
            f"{PORT2}/gids/7": "0000:0000:0000:0000:0000:ffff:c0a8:1201\n",
            f"{PORT2}/gid_attrs/types/7": "RoCE v2\n",
        },
        {},
        {("nic.gid_index", "", "fail", "warn")},
    ),
    "only an IPv6 GID": (
        {f"{PORT2}/gids/2": None, f"{PORT2}/gids/3": "fd00:0000:0000:0000:0000:0000:0000:0001\n"},
        {},
        {("nic.gid", "mlx5_2", "fail", "warn")},
    ),
    "a small MTU": (
        {"/sys/class/net/rdma2/mtu": "1500\n"},
        {},
        {("nic.mtu", "mlx5_2", "fail", "warn")},
    ),
    "a downgraded PCIe link": (
        {f"{IB}/mlx5_2/device/current_link_width": "8\n"},
        {},
        {("nic.pcie_link", "mlx5_2", "fail", "warn")},
    ),
    "no peer memory": (
        {"/sys/kernel/mm/memory_peers/amdkfd/version": None},
        {"kernel.config": "CONFIG_HSA_AMD=y\n"},
        {("nic.peer_memory", "", "fail", "block")},
    ),
    "no PFC on one port": (
        {},
        {"mlnx_qos.rdma4": QOS.replace("0   0   0   1   0   0   0   0", "0   0   0   0   0   0   0   0")},
        {("nic.pfc", "mlx5_4", "fail", "warn")},
    ),
    "trust that is not DSCP": (
        {},
        {"mlnx_qos.rdma4": QOS.replace("trust state: dscp", "trust state: pcp")},
        {("nic.pfc", "mlx5_4", "fail", "warn")},
    ),
    "no DCQCN": (
        {"/sys/class/net/rdma4/ecn/roce_rp/enable/3": "0\n"},
        {},
        {("nic.dcqcn", "mlx5_4", "fail", "warn")},
    ),
    "a tool that says otherwise": (
        {},
        {"rdma.link": healthy().items["rdma.link"].stdout.replace("LINK_UP", "POLLING", 1)},
        {("nic.sources_agree", "mlx5_0", "fail", "warn")},
    ),
}


def test_a_healthy_node_has_no_finding() -> None:
    assert findings(healthy()) == []


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_is_one_finding(name: str) -> None:
    files, outputs, expected = FAULTS[name]
    # Tools that would contradict a changed file are left out: they were asked of another machine.
    silent: dict[str, str | None] = (
        dict.fromkeys(("rdma.link", "ibstat", "show_gids", "ethtool.rdma2")) if files else {}
    )
    silent["ibv_devinfo"] = None if files else healthy().items["ibv_devinfo"].stdout
    envelope = changed(healthy(), files=files, outputs={**silent, **outputs})
    found = findings(envelope)
    assert said(found) == expected
    (only,) = found
    assert only.evidence
    assert only.fix
    assert only.why
    assert only.slots == (() if only.check == "nic.sources_agree" else (f"{NODE}.all",))


def test_a_missing_rail_is_named() -> None:
    gone = changed(
        healthy(),
        files={path: None for path in healthy().files if path.startswith(f"{IB}/mlx5_7/")},
        outputs=dict.fromkeys(("rdma.link", "rdma.dev", "ibstat", "ibv_devinfo", "show_gids")),
        links={path: to for path, to in healthy().links.items() if not path.startswith(f"{IB}/mlx5_7")},
    )
    (only,) = findings(gone)
    assert (only.check, only.blocks) == ("nic.present", True)
    assert only.observed.startswith("7: mlx5_0, mlx5_1")
    assert any("8 NICs on the PCI bus" in each.excerpt for each in only.evidence)


def test_no_rdma_device_under_an_rdma_connector_blocks_and_without_one_does_not() -> None:
    none = changed(
        healthy(),
        files={path: None for path in healthy().files if path.startswith(IB)},
        outputs=dict.fromkeys(("rdma.link", "rdma.dev", "ibstat", "ibv_devinfo", "show_gids")),
        links={path: to for path, to in healthy().links.items() if not path.startswith(IB)},
    )
    (only,) = findings(none)
    assert (only.check, only.observed, only.blocks) == ("nic.present", "no RDMA device", True)
    plain = r1_2p3d()
    assert findings(none, deployment=replace(plain, kv=replace(plain.kv, connector=Connector.NONE))) == []


def test_devices_that_could_not_be_listed_are_unknown_and_block() -> None:
    (only,) = findings(changed(healthy(), missing=(f"{IB}/*: out of time",)))
    assert (only.check, only.verdict, only.blocks) == ("nic.present", Verdict.UNKNOWN, True)


@pytest.mark.parametrize("text", ["N/A\n", "", "4: ACT", "1: ACTIVE\n"])
def test_a_state_that_cannot_be_read_is_unknown_and_blocks(text: str) -> None:
    (only,) = findings(changed(healthy(), files={f"{PORT2}/state": text}))
    assert (only.check, only.subject.device, only.verdict) == ("nic.port_state", "mlx5_2", Verdict.UNKNOWN)
    assert only.blocks
    assert only.why


def test_a_named_device_that_is_not_there() -> None:
    renamed = with_env(MORI_RDMA_DEVICES="mlx5_0,mlx5_1,bnxt_re0")
    (only,) = findings(healthy(), deployment=renamed)
    assert only.check == "nic.present"
    assert "not bnxt_re0" in only.observed


def test_only_named_devices_are_judged() -> None:
    named = with_env(MORI_RDMA_DEVICES="mlx5_0,mlx5_1")
    assert findings(changed(healthy(), files={f"{PORT2}/state": "1: DOWN\n"}), deployment=named) == []


def test_errors_are_judged_by_what_they_gained() -> None:
    path = f"{IB}/mlx5_3/ports/1/hw_counters/packet_seq_err"
    old = changed(healthy(), files={path: "5000\n"})
    assert findings(old) == []
    moving = old.model_copy(update={"samples": {**old.samples, path: ("5000\n", "5000\n", "5002\n")}})
    (only,) = findings(moving)
    assert said([only]) == {("nic.errors", "mlx5_3", "fail", "warn")}
    assert "packet_seq_err +2" in only.observed
    _, baselines = judge_envelopes(r1_2p3d(), {NODE: old})
    later = changed(old, files={path: "5009\n"})
    report, _ = judge_envelopes(r1_2p3d(), {NODE: later}, baselines=baselines)
    grown = [each for each in report.findings if each.check == "nic.errors" and each.verdict is Verdict.FAIL]
    assert [each.observed for each in grown] == ["packet_seq_err +9 since the last check (0 s)"]


def test_a_link_that_flapped() -> None:
    path = "/sys/class/net/rdma1/carrier_changes"
    envelope = healthy().model_copy(update={"samples": {**healthy().samples, path: ("2\n", "2\n", "4\n")}})
    assert said(findings(envelope)) == {("nic.link_flaps", "mlx5_1", "fail", "warn")}


def test_a_counter_that_is_missing_is_unknown_and_no_pass() -> None:
    path = f"{IB}/mlx5_3/ports/1/hw_counters/out_of_buffer"
    assert said(findings(changed(healthy(), files={path: None}))) == {("nic.errors", "mlx5_3", "unknown", "warn")}


def test_packets_that_a_port_threw_away_since_the_last_check() -> None:
    item = healthy().items["ethtool-S.rdma0"].stdout
    _, baselines = judge_envelopes(r1_2p3d(), {NODE: healthy()})
    later = changed(healthy(), outputs={"ethtool-S.rdma0": item.replace("rx_discards_phy: 0", "rx_discards_phy: 12")})
    report, _ = judge_envelopes(r1_2p3d(), {NODE: later}, baselines=baselines)
    (only,) = [each for each in report.findings if each.check == "nic.discards" and each.verdict is Verdict.FAIL]
    assert (only.subject.device, only.observed[:19]) == ("mlx5_0", "rx_discards_phy +12")


def test_the_traffic_class_of_engines_must_be_the_ports() -> None:
    for dscp in (24, 26):  # both are in the lossless priority, as some fabrics use the one and some the other
        assert passed(healthy(), "nic.traffic_class", with_env(MORI_RDMA_TC=str(dscp << 2), MORI_RDMA_SL="3"))
    (only,) = findings(healthy(), deployment=with_env(MORI_RDMA_TC="64"))
    assert (only.check, only.observed) == ("nic.traffic_class", "MORI_RDMA_TC=64")
    assert "MORI_RDMA_TC=96" in only.expected
    (level,) = findings(healthy(), deployment=with_env(NCCL_IB_SL="0"))
    assert (level.check, level.severity.value) == ("nic.traffic_class", "warn")


def test_a_lossless_priority_without_a_share_is_not_limited() -> None:
    vendor = re.sub(r"tsa: ets, bw: \d+%", "tsa: vendor", QOS)
    assert findings(changed(healthy(), outputs={"mlnx_qos.rdma4": vendor})) == []
    little = QOS.replace("bw: 95%", "bw: 50%")
    assert said(findings(changed(healthy(), outputs={"mlnx_qos.rdma4": little}))) == {
        ("nic.pfc", "mlx5_4", "fail", "warn")
    }


def test_user_space_that_shows_no_device() -> None:
    item = Item(argv=("ibv_devinfo",), status=255, stderr="libibverbs: Warning: no userspace device-specific driver\n")
    silent = item.model_copy(update={"stdout": "No IB devices found\n"})
    envelope = healthy().model_copy(update={"items": {**healthy().items, "ibv_devinfo": silent}})
    (only,) = findings(envelope)
    assert said([only]) == {("nic.userspace", "", "fail", "block")}
    (other,) = findings(envelope, deployment=under(SupervisorKind.DOCKER))
    assert other.severity.value == "warn"


def test_addresses_that_do_not_follow_the_gpus() -> None:
    links = json.loads(healthy().items["ip.addr"].stdout)
    by_name = {link["ifname"]: link for link in links}
    by_name["rdma1"]["addr_info"], by_name["rdma2"]["addr_info"] = (
        by_name["rdma2"]["addr_info"],
        by_name["rdma1"]["addr_info"],
    )
    envelope = changed(healthy(), outputs={"ip.addr": json.dumps(links)})
    assert ("nic.rail_order", "", "fail", "warn") in said(findings(envelope))


def test_a_gpu_that_is_missing_is_no_fault_of_its_nic() -> None:
    lost = {path: to for path, to in healthy().links.items() if not path.endswith("/0000:5f:00.0")}
    assert findings(changed(healthy(), links=lost)) == []


def test_a_nic_that_sits_elsewhere_has_the_gpu_of_its_numa_node_or_none() -> None:
    elsewhere = {**healthy().links, f"{IB}/mlx5_3/device": "/sys/devices/pci0000:f0/0000:f0:01.0/0000:60:00.0"}
    assert passed(changed(healthy(), links=elsewhere), "nic.affinity")
    far = changed(healthy(), links=elsewhere, files={f"{IB}/mlx5_3/device/numa_node": "1\n"})
    assert ("nic.affinity", "mlx5_3", "fail", "warn") in said(findings(far))
    untold = changed(healthy(), links=elsewhere, files={f"{IB}/mlx5_3/device/numa_node": "-1\n"})
    assert ("nic.affinity", "mlx5_3", "unknown", "warn") in said(findings(untold))


def test_a_rail_without_an_address() -> None:
    links = [link for link in json.loads(healthy().items["ip.addr"].stdout) if link["ifname"] != "rdma2"]
    links.append({"ifname": "rdma2", "operstate": "UP", "mtu": 9000})
    envelope = changed(healthy(), outputs={"ip.addr": json.dumps(links)})
    assert ("nic.ipv4", "mlx5_2", "fail", "warn") in said(findings(envelope))


def test_relaxed_ordering_and_read_requests() -> None:
    head, block = LSPCI.split("\n0000:1c:00.0 ", 1)
    slow = block.replace("RlxdOrd+", "RlxdOrd-", 1).replace("MaxReadReq 4096", "MaxReadReq 512", 1)
    envelope = changed(healthy(), outputs={"lspci.vvv": f"{head}\n0000:1c:00.0 {slow}"})
    assert said(findings(envelope)) == {
        ("nic.relaxed_ordering", "mlx5_0", "fail", "warn"),
        ("nic.read_request", "mlx5_0", "fail", "warn"),
    }


def as_pollara(firmware: str) -> dict[str, str | None]:
    """Files that make an AMD adapter of every device."""
    files: dict[str, str | None] = {}
    for number in range(8):
        files[f"{IB}/mlx5_{number}/device/vendor"] = "0x1dd8\n"
        files[f"{IB}/mlx5_{number}/fw_ver"] = f"{firmware}\n"
        for counter in ("req_rx_pkt_seq_err", "resp_rx_outouf_seq", "tx_rdma_ack_timeout", "tx_rdma_retx_pkts"):
            files[f"{IB}/mlx5_{number}/ports/1/hw_counters/{counter}"] = "0\n"
    return files


@pytest.mark.parametrize(("firmware", "bad"), [("1.117.1-a-63", True), ("1.117.5-a-45", False), ("1.118.0-a-1", False)])
def test_pollara_firmware_that_is_too_old(firmware: str, bad: bool) -> None:
    silent = dict.fromkeys(("rdma.dev", "ibv_devinfo", "ibstat"))
    _, baselines = judge_envelopes(r1_2p3d(), {NODE: changed(healthy(), files=as_pollara(firmware))})
    envelope = changed(healthy(), files=as_pollara(firmware), outputs=dict(silent))
    report, _ = judge_envelopes(r1_2p3d(), {NODE: envelope}, baselines=baselines)
    failed = {each.check for each in report.findings if each.verdict is Verdict.FAIL and each.check.startswith("nic.")}
    assert failed == ({"nic.firmware"} if bad else set())


def test_two_nodes_with_other_firmware_are_told_apart_by_the_majority() -> None:
    deployment = r1_2p3d()
    odd = changed(healthy(), files={f"{IB}/mlx5_{number}/fw_ver": "28.39.1002\n" for number in range(8)})
    nodes = {name: healthy() for name in deployment.nodes} | {"mi300x-04": odd}
    report, _ = judge_envelopes(deployment, nodes)
    failed = [each for each in report.findings if each.check == "drift.nic_firmware" and each.verdict is Verdict.FAIL]
    assert [(each.subject.node, each.observed) for each in failed] == [("mi300x-04", "28.39.1002")]
