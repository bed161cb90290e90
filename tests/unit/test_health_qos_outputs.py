"""Vendors' own tools, read: mlnx_qos, niccli (Broadcom), nicctl (AMD)."""

from __future__ import annotations

from typing import TypeVar

import pytest

from pdctl.health.parse import niccli, nicctl, nicctl_text
from pdctl.health.parse.mlnx_qos import mlnx_qos, traffic_classes
from pdctl.health.parse.qos import PortQos
from pdctl.model.reading import Known, Reading, Unknown
from tests import tool_outputs

T = TypeVar("T")

THOR_QOS = """IEEE 8021QAZ ETS Configuration TLV:
         PRIO_MAP: 0:0 1:0 2:0 3:1 4:0 5:0 6:0 7:2
         TC Bandwidth: 50% 50% 0%
         TSA_MAP: 0:ets 1:ets 2:strict
IEEE 8021QAZ PFC TLV:
         PFC enabled: 3
IEEE 8021QAZ APP TLV:
         APP#0:
          Priority: 7
          Sel: 5
          DSCP: 48

         APP#1:
          Priority: 3
          Sel: 5
          DSCP: 26

         APP#2:
          Priority: 3
          Sel: 3
          UDP or DCCP: 4791

TC Rate Limit: 100% 100% 100% 0% 0% 0% 0% 0%
"""
POLLARA_QOS = """NIC  : 42424650-4c32-3531-3230-303443000000 (0000:f6:00.0)

Port : 04908130-a7a0-4242-4242-000011010000

  Classification type         : DSCP

  DSCP-to-priority :
    DSCP bitmap               : 0xffffbffffeffffff ==> priority : 0
    DSCP bitmap               : 0x0000000001000000 ==> priority : 3
    DSCP bitmap               : 0x0000400000000000 ==> priority : 6
    DSCP                      : 0-23, 25-45, 47-63 ==> priority : 0
    DSCP                      : 24 ==> priority : 3
    DSCP                      : 46 ==> priority : 6

  PFC :
    PFC priority bitmap       : 0x8
    PFC no-drop priorities    : 3

  Scheduling :
    --------------------------------------------
    Priority  Scheduling  Bandwidth Rate-limit
              Type        (in %age) (in Gbps)
    --------------------------------------------
    0         DWRR        1         N/A
    3         DWRR        99        N/A
    6         strict      N/A       10
"""
POLLARA_DCQCN = """NIC : 42424650-4c32-3531-3230-303443000000 (0000:f6:00.0)
------------------------------------------------------------------------------------------

Lif id                                     : 43000070-0100-0000-4242-04908130a7a0
ROCE device                                : ionic_7
  DCQCN profile id                         : 1
  Status                                   : Enabled
  DSCP value used for CNP                  : 46
"""


def known(reading: Reading[T]) -> T:
    assert isinstance(reading, Known), reading
    return reading.value


def test_mlnx_qos_whose_classes_are_cut_off() -> None:
    qos = known(mlnx_qos(tool_outputs.read("mlnx_qos/pfc3-firmware-controlled.txt"), "eth4"))
    assert (known(qos.trust), known(qos.lossless)) == ("dscp", frozenset({3}))
    assert known(qos.main_priority()) == 3
    assert known(qos.main_dscp()) == 24
    # The transcript ends before priority 6: which class that is in is not known, so no shares are.
    assert isinstance(qos.share, Unknown)
    assert "[6]" in qos.share.reason


def test_mlnx_qos_traffic_classes() -> None:
    classes = traffic_classes(tool_outputs.read("mlnx_qos/pfc3-firmware-controlled.txt"))
    assert [(each.number, each.scheduling, each.share, each.priorities) for each in classes] == [
        (0, "ets", 50, (0, 1, 2, 4, 5, 7)),
        (3, "ets", 50, (3,)),
    ]


def test_mlnx_qos_with_a_short_dscp_map_is_unknown_there() -> None:
    text = tool_outputs.read("mlnx_qos/pfc3-firmware-controlled.txt").replace("31,30,29,", "")
    assert isinstance(known(mlnx_qos(text)).dscp_priority, Unknown)


def test_niccli_devices() -> None:
    (device,) = known(niccli.niccli_devices(tool_outputs.read("niccli/list_devices.txt")))
    assert (device.number, known(device.netdev), known(device.bdf)) == (1, "abcd1p1", "0000:22:00.0")
    assert known(device.model) == "Broadcom BCM57608 1x400G QSFP-DD PCIe Ethernet NIC"
    older = (
        "8 ) Broadcom BCM57608 NIC (Adp#8 Port#1)\n  Device Interface Name : benic7p1\n  PCI Address : 0000:F6:00.0\n"
    )
    (device,) = known(niccli.niccli_devices(older))
    assert (device.number, known(device.netdev), known(device.bdf)) == (8, "benic7p1", "0000:f6:00.0")
    assert isinstance(device.mac, Unknown)


def test_niccli_qos() -> None:
    qos = known(niccli.niccli_qos(THOR_QOS, "1"))
    assert (known(qos.trust), known(qos.lossless)) == ("dscp", frozenset({3}))
    assert known(qos.dscp_priority) == {48: 7, 26: 3}
    assert known(qos.share)[3] == 50.0
    assert 7 not in known(qos.share)  # strict priority has no share
    assert known(qos.main_dscp()) == 26  # MORI_RDMA_TC 104, as AMD's recipes have it for Thor2


def test_niccli_qos_with_one_priority() -> None:
    qos = known(niccli.niccli_qos(tool_outputs.read("niccli/qos_ets_partial.txt")))
    assert known(qos.lossless) == frozenset({0})
    assert known(qos.share) == {0: 100.0}
    assert isinstance(qos.trust, Unknown)
    apps = niccli.app_entries(tool_outputs.read("niccli/qos_ets_partial.txt"))
    assert [(app.priority, app.selector, app.protocol, app.value) for app in apps] == [
        (5, 3, "TCP", 8080),
        (6, 3, "UDP", 9000),
    ]


def test_niccli_qos_that_is_broken_is_unknown_in_every_table() -> None:
    qos = known(niccli.niccli_qos(tool_outputs.read("niccli/qos_ets_invalid.txt")))
    assert isinstance(qos.lossless, Unknown)
    assert isinstance(qos.share, Unknown)
    assert isinstance(qos.dscp_priority, Unknown)


def test_niccli_pfc_none_is_known_to_be_none() -> None:
    qos = known(niccli.niccli_qos(THOR_QOS.replace("PFC enabled: 3", "PFC enabled: none")))
    assert known(qos.lossless) == frozenset()
    assert isinstance(qos.main_priority(), Unknown)


def test_niccli_option() -> None:
    assert known(niccli.niccli_option("pcie_relaxed_ordering = Enabled\n", "pcie_relaxed_ordering")) == "enabled"
    assert isinstance(niccli.niccli_option("No device found\n", "pcie_relaxed_ordering"), Unknown)


def test_nicctl_cards_ports_and_functions() -> None:
    cards = known(nicctl.nicctl_cards(tool_outputs.read("nicctl/nicctl_show_card_j.txt")))
    assert [(known(card.bdf), known(card.firmware)) for card in cards] == [
        ("0000:44:00.0", "1.117.1-a-7"),
        ("0000:84:00.0", "1.117.1-a-7"),
    ]
    (port,) = known(nicctl.nicctl_ports(tool_outputs.read("nicctl/nicctl_show_port_card1_j.txt")))
    assert (known(port.status), known(port.speed_gbps), known(port.mtu_bytes)) == ("UP", 100.0, 1500)
    assert known(port.link_downs) == 11
    lifs = known(nicctl.nicctl_lifs(tool_outputs.read("nicctl/nicctl_show_lif_card1_j.txt")))
    assert [known(lif.netdev) for lif in lifs] == ["enp68s0", "enp68s0v0"]
    assert {known(lif.rdma_mtu) for lif in lifs} == {4096}


@pytest.mark.parametrize(
    "name", [name for name in tool_outputs.names("nicctl") if "show_lif_" in name or "show_port_card" in name]
)
def test_every_function_and_port_of_nicctl_has_a_state(name: str) -> None:
    text = tool_outputs.read(name)
    if "_lif_" in name:
        assert all(isinstance(lif.status, Known) for lif in known(nicctl.nicctl_lifs(text)))
    else:
        assert all(isinstance(port.status, Known) for port in known(nicctl.nicctl_ports(text)))


def test_nicctl_statistics() -> None:
    rows = known(nicctl.nicctl_statistics(tool_outputs.read("nicctl/nicctl_show_port_statistics_j.txt"), "port"))
    assert rows[0][0] == "0490812c-4f90-4242-4242-000011010000"
    assert known(rows[0][1]["frames_rx_ok"]) == 283924078435


def test_nicctl_queue_pairs() -> None:
    rows = known(nicctl.nicctl_queue_pairs(tool_outputs.read("nicctl/nicctl_show_rdma_qp_card1_j.txt")))
    first = dict(rows)["43000070-0100-0000-4242-0490812c4f90/1"]
    assert known(first["send_queue.requester_tx_statistics.num_local_ack_timeouts"]) == 1
    idle = nicctl.nicctl_queue_pairs(tool_outputs.read("nicctl/nicctl_show_rdma_qp_card2_j.txt"))
    assert known(idle) == ()


@pytest.mark.parametrize("text", ["", "{}", '{"nic": []}', "nicctl: no NIC found\n", '{"nic": [{"id": "1", "port": ['])
def test_nicctl_without_a_nic_is_unknown_though_it_exits_with_0(text: str) -> None:
    assert isinstance(nicctl.nicctl_cards(text), Unknown)
    assert isinstance(nicctl.nicctl_ports(text), Unknown)


def test_nicctl_qos_text() -> None:
    (qos,) = known(nicctl_text.nicctl_qos(POLLARA_QOS))
    assert (qos.port, known(qos.trust), known(qos.lossless)) == ("0000:f6:00.0", "dscp", frozenset({3}))
    assert known(qos.main_dscp()) == 24  # traffic class 96
    assert known(qos.share) == {0: 1.0, 3: 99.0}


def test_nicctl_qos_whose_bitmap_misses_a_no_drop_priority_is_unknown() -> None:
    (qos,) = known(nicctl_text.nicctl_qos(POLLARA_QOS.replace(": 0x8", ": 0x1")))
    assert isinstance(qos.lossless, Unknown)


def test_nicctl_qos_without_pfc() -> None:
    text = POLLARA_QOS.replace(": 0x8", ": 0x0").replace("priorities    : 3", "priorities    :")
    (qos,) = known(nicctl_text.nicctl_qos(text))
    assert known(qos.lossless) == frozenset()


def test_nicctl_dcqcn_text() -> None:
    (dcqcn,) = known(nicctl_text.nicctl_dcqcn(POLLARA_DCQCN))
    assert (known(dcqcn.device), known(dcqcn.enabled), known(dcqcn.cnp_dscp)) == ("ionic_7", True, 46)
    (odd,) = known(nicctl_text.nicctl_dcqcn(POLLARA_DCQCN.replace("Enabled", "N/A")))
    assert isinstance(odd.enabled, Unknown)


def test_nicctl_firmware_text() -> None:
    block = "NIC : 4242 (0000:06:00.0)\n\nCPLD : 3.16 (primary)\nBoot0 : 21\nFirmware-A : 1.117.1-a-63\n"
    assert known(nicctl_text.nicctl_firmware(block)) == {"0000:06:00.0": "1.117.1-a-63"}
    assert known(nicctl_text.nicctl_firmware("ionic0: 1.117.5\nionic1: 1.117.9\n")) == {
        "ionic0": "1.117.5",
        "ionic1": "1.117.9",
    }
    assert isinstance(nicctl_text.nicctl_firmware(block + "Firmware-B : 1.117.5-a-45\n"), Unknown)
    assert isinstance(nicctl_text.nicctl_firmware(""), Unknown)


def test_nicctl_text_cards_and_versions() -> None:
    table = "Id    PCIe BDF  ASIC\n42424650-4c32-3533-3330-323934000000    0000:06:00.0   salina    A   FPL25330294\n"
    assert known(nicctl_text.nicctl_text_cards(table)) == (("42424650-4c32-3533-3330-323934000000", "0000:06:00.0"),)
    said = "nicctl : 1.117.1-a-63\nIPC driver : 1.117.1.a.63\nionic driver : 25.08.4.004\n"
    assert known(nicctl_text.nicctl_host_software(said))["ionic driver"] == "25.08.4.004"


def test_the_main_priority_of_several_needs_their_shares() -> None:
    qos = PortQos("", Known("dscp", ""), Known(frozenset({0, 3}), ""), Known({}, ""), Unknown("cut off"))
    assert isinstance(qos.main_priority(), Unknown)
