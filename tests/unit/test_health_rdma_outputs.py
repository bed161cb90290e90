"""RDMA tools' real outputs, read: values where they say something, an explained unknown where they do not."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TypeVar

import pytest

from pdctl.health.parse.ethtool import ethtool_driver, ethtool_link, ethtool_statistics
from pdctl.health.parse.ibstat import ibstat
from pdctl.health.parse.ibv_devinfo import ibv_devices, ibv_devinfo
from pdctl.health.parse.mst import mst_status
from pdctl.health.parse.rdma_tool import rdma_devs, rdma_links, rdma_statistics
from pdctl.health.parse.rdma_words import GidType, link_rate, physical_state, port_state, verbs_mtu
from pdctl.health.parse.show_gids import show_gids
from pdctl.model.reading import Known, Reading, Unknown
from tests import tool_outputs

T = TypeVar("T")


def known(reading: Reading[T]) -> T:
    assert isinstance(reading, Known), reading
    return reading.value


@pytest.mark.parametrize(
    ("name", "count", "first", "netdev", "not_active"),
    [
        ("ainic-rdma-link-pass.txt", 8, "rocep5s0", "enP5p1s0f0", ()),
        ("ainic-rdma-link-one-init.txt", 8, "rocep5s0", "enP5p1s0f0", ("rocep7s0",)),
        ("bnxt-trailing-space.txt", 2, "bnxt_re0", "ens26np0", ()),
        ("ionic-rdma_link.txt", 3, "rocep68s0", "enp68s0", ()),
    ],
)
def test_rdma_link_text(name: str, count: int, first: str, netdev: str, not_active: tuple[str, ...]) -> None:
    links = known(rdma_links(tool_outputs.read(f"rdma_link/{name}")))
    assert (len(links), links[0].device, known(links[0].netdev)) == (count, first, netdev)
    assert tuple(link.device for link in links if link.state != Known("ACTIVE", "rdma link")) == not_active
    assert {known(link.physical) for link in links} == {"LinkUp"}


def test_rdma_link_json() -> None:
    links = known(rdma_links(tool_outputs.read("rdma_statistic/node-scraper-rdma_link_example_data.json")))
    assert [(link.device, known(link.netdev)) for link in links] == [
        ("ionic_0", "benic8p1"),
        ("ionic_1", "benic7p1"),
        ("ionic_2", "benic5p1"),
        ("ionic_3", "benic6p1"),
    ]


def test_rdma_statistics_keep_the_drivers_own_spelling() -> None:
    rows = known(rdma_statistics(tool_outputs.read("rdma_statistic/node-scraper-rdma_statistic_example_data.json")))
    assert rows[0].device == "ionic_0"
    assert known(rows[0].counters["resp_rx_outouf_seq"]) == 0
    assert "ifname" not in rows[0].counters


def test_rdma_statistics_as_text() -> None:
    rows = known(rdma_statistics("link mlx5_0/1 rx_write_requests 10 out_of_buffer 3 np_cnp_sent N/A \n"))
    assert known(rows[0].counters["out_of_buffer"]) == 3
    assert isinstance(rows[0].counters["np_cnp_sent"], Unknown)


def test_rdma_dev() -> None:
    devices = known(rdma_devs(tool_outputs.read("rdma_dev/node-scraper-ionic.txt")))
    assert [(device.device, known(device.firmware)) for device in devices] == [
        ("abcdef25s0", "1.117.1-a-63"),
        ("abcdef105s0", "1.117.1-a-63"),
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "[ ]\n", "error: Operation not permitted\n", '[{"ifname": "mlx5_0", "port"']
)
def test_no_rdma_link_is_unknown_and_says_why(text: str) -> None:
    reading = rdma_links(text)
    assert isinstance(reading, Unknown)
    assert reading.reason


def test_ibv_devinfo_of_ainic() -> None:
    (device,) = known(ibv_devinfo(tool_outputs.read("ibv_devinfo/ainic-ibv-devinfo-pass.txt")))
    (port,) = device.ports
    assert (device.name, known(device.vendor_id), known(device.firmware)) == ("rocep5s0", 0x1DD8, "1.0.0")
    assert (known(port.state), known(port.active_mtu), known(port.link_layer)) == ("ACTIVE", 4096, "Ethernet")
    assert [(gid.index, known(gid.type)) for gid in port.gids] == [(0, GidType.IB_ROCE_V1), (1, GidType.ROCE_V2)]


def test_ibv_devinfo_without_a_link_layer_leaves_it_unknown() -> None:
    (device,) = known(ibv_devinfo(tool_outputs.read("ibv_devinfo/rxe-old-no-link-layer.txt")))
    assert known(device.ports[0].active_mtu) == 1024
    assert isinstance(device.ports[0].link_layer, Unknown)


def test_ibv_devinfo_with_a_link_layer_that_is_none() -> None:
    (device,) = known(ibv_devinfo(tool_outputs.read("ibv_devinfo/node-scraper-mlx5.txt")))
    assert known(device.board_id) == "MT_0000000010"
    assert isinstance(device.ports[0].link_layer, Unknown)


def test_ibv_devinfo_verbose_prints_mapped_addresses() -> None:
    text = "hca_id:\tionic_7\n\tphys_port_cnt: 1\n\t\tport:\t1\n\t\t\tstate:\t\t\tPORT_ACTIVE (4)\n"
    text += "\t\t\tGID[  0]:\t\tfe80::690:81ff:fe30:a7a0, RoCE v2\n\t\t\tGID[  1]:\t\t::ffff:192.168.7.36, RoCE v2\n"
    (device,) = known(ibv_devinfo(text))
    assert device.ports[0].gids[1].ipv4 == IPv4Address("192.168.7.36")


def test_ibv_devices() -> None:
    devices = known(ibv_devices(tool_outputs.read("ibv_devinfo/ainic-ibv-devices.txt")))
    assert len(devices) == 8
    assert devices[0] == ("rocep5s0", "aabbccddeeff0000")


def test_ibstat() -> None:
    (device,) = known(ibstat(tool_outputs.read("ibstat/node-scraper-mlx5.txt")))
    (port,) = device.ports
    assert (device.name, known(device.firmware), known(port.rate)) == ("mlx5_0", "10.10.1010", 200.0)
    assert (known(port.state), known(port.physical)) == ("ACTIVE", "LinkUp")
    assert isinstance(port.link_layer, Unknown)


def test_ethtool_with_a_speed_that_is_none() -> None:
    link = known(ethtool_link(tool_outputs.read("ethtool/node-scraper-link-up.txt")))
    assert (link.device, known(link.detected), known(link.autonegotiation)) == ("ethmock123", True, "on")
    assert isinstance(link.speed_gbps, Unknown)


def test_ethtool_link_and_driver() -> None:
    link = known(ethtool_link("Settings for eth0:\n\tSpeed: 400000Mb/s\n\tLink detected: yes\n"))
    assert known(link.speed_gbps) == 400.0
    down = known(ethtool_link("Settings for eth0:\n\tSpeed: Unknown!\n\tLink detected: no\n"))
    assert isinstance(down.speed_gbps, Unknown)
    assert known(down.detected) is False
    driver = known(ethtool_driver("driver: bnxt_en\nversion: 6.8.0\nfirmware-version: 231.0\nbus-info: 0000:06:00.0\n"))
    assert (known(driver.driver), known(driver.bdf)) == ("bnxt_en", "0000:06:00.0")
    assert isinstance(ethtool_link("netlink error: No such device\n"), Unknown)


def test_ethtool_statistics_of_ionic_and_of_bnxt_rings() -> None:
    ionic = known(ethtool_statistics(tool_outputs.read("ethtool_S/ionic-ethtool_S_enp132s0.txt")))
    assert known(ionic["frames_rx_ok"]) == 69867940032
    assert known(ionic["frames_rx_bad_fcs"]) == 0
    rings = known(ethtool_statistics(tool_outputs.read("ethtool_S/node-scraper-bnxt-perqueue.txt")))
    assert known(rings["rx_ucast_packets"]) == 162692536538787551 + 79657418409137764
    assert known(rings["rx_total_l4_csum_errors"]) == 0


@pytest.mark.parametrize("name", tool_outputs.names("ethtool_S"))
def test_every_ethtool_statistic_is_a_number(name: str) -> None:
    counters = known(ethtool_statistics(tool_outputs.read(name)))
    assert counters
    assert all(isinstance(counter, Known) for counter in counters.values())


def test_show_gids() -> None:
    tables = known(show_gids(tool_outputs.read("show_gids/mlx5-cx-rdma0.txt")))
    assert [gid.index for gid in tables["mlx5_0", 1]] == [0, 1, 2, 3]
    assert tables["mlx5_0", 1][3].ipv4 == IPv4Address("192.168.211.242")
    assert tables["mlx5_0", 1][3].netdev == "rdma0"
    macvlan = known(show_gids(tool_outputs.read("show_gids/mlx5-macvlan.txt")))
    assert [gid.index for gid in macvlan["mlx5_1", 1]] == [4, 5, 6, 7]


def test_show_gids_that_counts_more_than_it_lists_is_unknown() -> None:
    whole = tool_outputs.read("show_gids/mlx5-cx-rdma0.txt").splitlines(keepends=True)
    assert isinstance(show_gids("".join(whole[:4] + whole[5:])), Unknown)


def test_mst() -> None:
    rows = known(mst_status(tool_outputs.read("mst/node-scraper-mst-status.txt")))
    assert [(row.bdf, known(row.device), known(row.netdev), known(row.numa)) for row in rows] == [
        ("0000:ec:00.0", "mlx5_4", "mock235s0np0", 1),
        ("0000:d4:00.0", "mlx5_6", "mock211s0np0", 1),
    ]


@pytest.mark.parametrize("spelled", ["4: ACTIVE", "PORT_ACTIVE (4)", "Active", "ACTIVE"])
def test_spellings_of_an_active_port(spelled: str) -> None:
    assert known(port_state(spelled, "")) == "ACTIVE"


@pytest.mark.parametrize("spelled", ["5: LinkUp", "LinkUp", "LINK_UP"])
def test_spellings_of_a_link_that_is_up(spelled: str) -> None:
    assert known(physical_state(spelled, "")) == "LinkUp"


@pytest.mark.parametrize("odd", ["1: ACTIVE", "4: DOWN", "4", "", "N/A", None, 4, True, "ACTIVE (4"])
def test_a_state_that_contradicts_itself_or_is_none_is_unknown(odd: object) -> None:
    assert isinstance(port_state(odd, ""), Unknown)


def test_rates_and_mtus() -> None:
    assert known(link_rate("400 Gb/sec (4X NDR)", "")) == 400.0
    assert known(link_rate("2.5 Gb/sec (1X SDR)", "")) == 2.5
    assert isinstance(link_rate("N/A", ""), Unknown)
    assert known(verbs_mtu("4096 (5)", "")) == 4096
    assert isinstance(verbs_mtu("4096 (3)", ""), Unknown)
