"""Nodes with Broadcom Thor2 and AMD Pollara adapters: QoS, congestion control and versions from their own tools."""

from __future__ import annotations

from typing import TypeVar

from pdctl.health.nic_facts import NicFacts, nic_facts
from pdctl.model.reading import Known, Reading, Unknown
from tests.unit.health_nodes import changed, healthy
from tests.unit.test_health_qos_outputs import POLLARA_DCQCN, POLLARA_QOS, THOR_QOS

T = TypeVar("T")
IB = "/sys/class/infiniband/mlx5_0"
BDF = "0000:1c:00.0"
CONFIGFS = "/sys/kernel/config/bnxt_re/mlx5_0/ports/1/cc"


def known(reading: Reading[T]) -> T:
    assert isinstance(reading, Known), reading
    return reading.value


def thor(**outputs: str | None) -> NicFacts:
    """Facts of a node whose first adapter is Broadcom's."""
    files: dict[str, str | None] = {f"{IB}/device/vendor": "0x14e4\n", f"{CONFIGFS}/cnp_dscp": "48\n"}
    files[f"{CONFIGFS}/cc_mode"] = "1\n"
    return nic_facts(changed(healthy(), files=files, outputs=outputs))


def pollara(qos: str, dcqcn: str) -> NicFacts:
    """Facts of a node whose first adapter is AMD's."""
    files: dict[str, str | None] = {f"{IB}/device/vendor": "0x1dd8\n"}
    outputs: dict[str, str | None] = {
        "nicctl.qos": qos.replace("0000:f6:00.0", BDF),
        "nicctl.dcqcn": dcqcn.replace("ionic_7", "mlx5_0"),
    }
    return nic_facts(changed(healthy(), files=files, outputs=outputs))


def test_thor2_by_pci_address() -> None:
    facts = thor(**{f"niccli.qos.{BDF}": THOR_QOS, f"niccli.relaxed.{BDF}": "pcie_relaxed_ordering = Disabled\n"})
    qos = facts.qos["mlx5_0"]
    assert known(known(qos.qos).lossless) == frozenset({3})
    assert known(known(qos.qos).main_dscp()) == 26
    assert (known(qos.dcqcn), known(qos.cnp_dscp), known(qos.relaxed_ordering)) == (True, 48, "disabled")


def test_thor2_by_device_number() -> None:
    listing = f"3) Broadcom BCM57608\n    Device Interface : rdma0\n    PCI Address : {BDF.upper()}\n"
    facts = thor(**{"niccli.list": listing, "niccli.qos.3": THOR_QOS})
    assert known(known(facts.qos["mlx5_0"].qos).trust) == "dscp"


def test_thor2_without_its_tool_has_nothing_held_against_it() -> None:
    qos = thor().qos["mlx5_0"]
    assert not qos.applies
    assert isinstance(qos.qos, Unknown)


def test_pollara() -> None:
    facts = pollara(POLLARA_QOS, POLLARA_DCQCN)
    qos = facts.qos["mlx5_0"]
    assert known(known(qos.qos).main_dscp()) == 24
    assert (known(qos.dcqcn), known(qos.cnp_dscp)) == (True, 46)


def test_a_card_that_nicctl_does_not_show_is_unknown_and_applies() -> None:
    facts = pollara(POLLARA_QOS.replace("0000:f6", "0000:f7"), POLLARA_DCQCN.replace("ionic_7", "ionic_1"))
    qos = facts.qos["mlx5_0"]
    assert qos.applies
    assert isinstance(qos.qos, Unknown)
    assert isinstance(qos.dcqcn, Unknown)


def test_nicctl_that_prints_nothing_with_status_0_is_unknown_and_applies() -> None:
    qos = pollara("", "").qos["mlx5_0"]
    assert qos.applies
    assert isinstance(qos.qos, Unknown)


def test_a_card_counts_its_own_link_downs() -> None:
    card = f'{{"nic": [{{"id": "4242", "eth_bdf": "{BDF}"}}]}}'
    status = '"status": {"operational_status": "UP", "number_of_link_down_events": "11"}'
    port = f'{{"nic": [{{"id": "4242", "port": [{{"spec": {{"id": "p1"}}, {status}}}]}}]}}'
    facts = nic_facts(changed(healthy(), outputs={"nicctl.card": card, "nicctl.port": port}))
    (counted,) = [each for each in facts.counters if each.id.counter == "number_of_link_down_events"]
    assert (counted.id.device, counted.values) == ("mlx5_0", (11,))


def test_the_firmware_that_runs_on_a_card_is_its_tools_word() -> None:
    card = f'{{"nic": [{{"id": "4242", "eth_bdf": "{BDF}", "firmware_version": "1.117.1-a-7"}}]}}'
    facts = nic_facts(changed(healthy(), files={f"{IB}/device/vendor": "0x1dd8\n"}, outputs={"nicctl.card": card}))
    assert known(facts.versions.firmware["mlx5_0"]) == "1.117.1-a-7"
    assert list(facts.versions.drivers) == ["mlx5_core", "ionic", "ionic_rdma"]
