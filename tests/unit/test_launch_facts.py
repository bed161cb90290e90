"""Facts that feed a launch: found on a node, in the order of rails, under what the inventory says, and in a label."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pdctl.engines.engine import render
from pdctl.engines.spec_hash import spec_hash
from pdctl.health.expectations import Situation
from pdctl.health.finding import Verdict
from pdctl.health.launch_facts import LaunchFacts, gid_index, launch_facts
from pdctl.health.nic_facts import nic_facts
from pdctl.model.deployment import Deployment
from pdctl.model.launch import FabricFacts, Rail
from pdctl.model.reading import Known, Unknown
from pdctl.model.role import Connector
from pdctl.supervisors.docker_cli_on_node import labels_shown
from pdctl.supervisors.docker_command_on_node import container_labels
from pdctl.supervisors.systemd_command_on_node import described, labels_described
from pdctl.supervisors.unit_records import labels_from_json, labels_to_json
from tests.unit.deployments import r1_2p3d
from tests.unit.health_nodes import changed, healthy
from tests.unit.health_verdicts import NODE, findings, passed, with_env

IB = "/sys/class/infiniband"
RAILS = tuple(Rail(f"mlx5_{number}", number) for number in range(8))
FOUND = FabricFacts(RAILS, gid_index=3, socket_interface="rdma0", traffic_class=96, service_level=3)
FABRIC_VARIABLES = re.compile(r"MORI_(RDMA|IB|SOCKET)|NCCL_|GLOO_|UCX_")


def told(**changes: object) -> LaunchFacts:
    envelope = changed(healthy(), **changes)  # type: ignore[arg-type]
    return launch_facts(nic_facts(envelope), data_address="192.168.16.1", nics=8)


def env(deployment: Deployment, fabric: FabricFacts | None, instance: int = 0) -> dict[str, str]:
    """What the first instance's first part gets of the fabric's variables."""
    chosen = deployment.instances[instance]
    generations = dict.fromkeys(chosen.nodes, 1)
    found = {} if fabric is None else dict.fromkeys(chosen.nodes, fabric)
    (process, *_) = render(deployment, chosen, generations, found).processes
    return {name: value for name, value in process.env.items() if FABRIC_VARIABLES.match(name)}


def test_a_healthy_node_tells_all() -> None:
    assert told() == LaunchFacts(FOUND, {})


def test_names_that_a_reboot_scrambled_do_not_change_the_order_of_rails() -> None:
    envelope = healthy()

    def other(path: str) -> str:
        return re.sub(r"mlx5_(\d)\b", lambda match: f"mlx5_{7 - int(match.group(1))}", path)

    files = {other(path) if path.startswith(IB) else path: file for path, file in envelope.files.items()}
    links = {other(path) if path.startswith(IB) else path: to for path, to in envelope.links.items()}
    facts = nic_facts(envelope.model_copy(update={"files": files, "links": links}))
    found = launch_facts(facts, data_address="192.168.16.1", nics=8).fabric
    assert [rail.device for rail in found.rails] == [f"mlx5_{number}" for number in range(7, -1, -1)]
    assert found.digest != FOUND.digest


def test_rails_whose_best_gid_lies_elsewhere_leave_the_index_to_the_engine() -> None:
    port = f"{IB}/mlx5_2/ports/1"
    found = told(
        files={
            f"{port}/gids/3": None,
            f"{port}/gids/7": "0000:0000:0000:0000:0000:ffff:c0a8:1201\n",
            f"{port}/gid_attrs/types/7": "RoCE v2\n",
        }
    )
    assert found.fabric.gid_index is None
    assert "mlx5_2: 7" in found.doubts["gid_index"]


def test_what_is_unknown_is_left_out_and_said() -> None:
    found = told(outputs={"ip.addr": None, **{f"mlnx_qos.rdma{number}": None for number in range(8)}})
    assert found.fabric == FabricFacts(RAILS, gid_index=3)
    assert set(found.doubts) == {"socket_interface", "traffic_class", "service_level"}
    blind = told(outputs={"ip.addr": None}, links={})
    assert blind.fabric.rails == ()
    assert "rails" in blind.doubts


def test_an_index_for_infiniband_is_not_chosen() -> None:
    facts = nic_facts(
        changed(healthy(), files={f"{IB}/mlx5_{number}/ports/1/link_layer": "InfiniBand\n" for number in range(8)})
    )
    assert isinstance(facts.devices, Known)
    assert isinstance(gid_index(facts.devices.value), Unknown)


def test_engines_of_moriio_are_told() -> None:
    names = ",".join(rail.device for rail in RAILS)
    assert env(r1_2p3d(), FOUND) == {
        "GLOO_SOCKET_IFNAME": "rdma0",
        "MORI_IB_GID_INDEX": "3",
        "MORI_RDMA_DEVICES": names,
        "MORI_RDMA_SL": "3",
        "MORI_RDMA_TC": "96",
        "MORI_SOCKET_IFNAME": "rdma0",
        "NCCL_IB_GID_INDEX": "3",
        "NCCL_IB_HCA": f"={names}",
        "NCCL_IB_SL": "3",
        "NCCL_IB_TC": "96",
        "NCCL_SOCKET_IFNAME": "rdma0",
    }


def test_engines_of_nixl_are_told_in_ucx_names() -> None:
    deployment = r1_2p3d()
    nixl = replace(deployment, kv=replace(deployment.kv, connector=Connector.NIXL))
    found = env(nixl, FOUND)
    assert found["UCX_NET_DEVICES"] == ",".join(f"{rail.device}:1" for rail in RAILS)
    assert (found["UCX_IB_GID_INDEX"], found["UCX_IB_TRAFFIC_CLASS"]) == ("3", "96")
    assert not any(name.startswith("MORI_") for name in found)


def test_without_facts_nothing_is_added_and_unknowns_are_not_either() -> None:
    assert env(r1_2p3d(), None) == {}
    assert env(r1_2p3d(), FabricFacts()) == {}


def test_the_inventorys_values_win() -> None:
    found = env(with_env(MORI_RDMA_DEVICES="mlx5_7,mlx5_6", NCCL_IB_GID_INDEX="1"), FOUND)
    assert (found["MORI_RDMA_DEVICES"], found["NCCL_IB_GID_INDEX"]) == ("mlx5_7,mlx5_6", "1")
    assert found["MORI_IB_GID_INDEX"] == "3"


def test_a_slot_gets_its_own_rails() -> None:
    assert FOUND.devices((4, 5)) == ("mlx5_4", "mlx5_5")
    unplaced = replace(FOUND, rails=tuple(Rail(rail.device) for rail in RAILS))
    assert len(unplaced.devices((4, 5))) == 8


def test_facts_are_in_a_label_and_not_in_the_spec_hash() -> None:
    deployment = r1_2p3d()
    instance = deployment.instances[0]
    generations = dict.fromkeys(instance.nodes, 1)
    with_facts = render(deployment, instance, generations, dict.fromkeys(instance.nodes, FOUND))
    without = render(deployment, instance, generations)
    assert with_facts.spec_hash == without.spec_hash == spec_hash(deployment, instance)
    assert with_facts.processes[0].labels.facts == FOUND.digest
    assert without.processes[0].labels.facts == ""


@pytest.mark.parametrize("facts", ["", FOUND.digest])
def test_the_label_comes_back_from_every_supervisor(facts: str) -> None:
    deployment = r1_2p3d()
    instance = deployment.instances[0]
    labels = replace(render(deployment, instance, dict.fromkeys(instance.nodes, 1)).processes[0].labels, facts=facts)
    as_sent = labels_to_json(labels)
    assert labels_from_json(as_sent) == labels
    assert labels_described(described(as_sent)) == as_sent
    assert labels_shown(container_labels(as_sent, {"incarnation": "x"})) == as_sent


def test_an_inventory_that_says_otherwise_is_a_finding_of_that_node() -> None:
    (only,) = findings(healthy(), deployment=with_env(NCCL_IB_GID_INDEX="1"))
    assert (only.check, only.severity.value, only.observed) == ("nic.launch_env", "warn", "NCCL_IB_GID_INDEX=1")
    assert only.expected.startswith("3, ")
    (order,) = findings(healthy(), deployment=with_env(MORI_RDMA_DEVICES="mlx5_1,mlx5_0"))
    assert order.check == "nic.launch_env"
    assert passed(healthy(), "nic.launch_env", with_env(MORI_RDMA_DEVICES="mlx5_0,mlx5_1"))


def test_an_engine_that_was_started_with_other_facts_is_named() -> None:
    same = Situation(told={NODE: {"mi300x-01.all.0": told().fabric.digest}})
    deployment = r1_2p3d()
    node = replace(deployment.nodes[NODE], data_address="192.168.16.1")
    deployment = replace(deployment, nodes={**deployment.nodes, NODE: node})
    assert findings(healthy(), deployment=deployment, situation=same) == []
    other = Situation(told={NODE: {"mi300x-01.all.0": "0123456789ab"}})
    (only,) = findings(healthy(), deployment=deployment, situation=other)
    assert (only.check, only.severity.value) == ("nic.launch_drift", "warn")
    assert "mi300x-01.all.0" in only.observed
    blind = changed(healthy(), outputs={"mlnx_qos.rdma3": None})
    drift = [each for each in findings(blind, deployment=deployment, situation=other) if "drift" in each.check]
    assert [each.verdict for each in drift] == [Verdict.UNKNOWN]


def test_a_disagreement_is_no_reason_to_block() -> None:
    (only,) = findings(healthy(), deployment=with_env(NCCL_IB_GID_INDEX="1"))
    assert only.verdict is Verdict.FAIL
    assert not only.blocks
