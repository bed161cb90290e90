"""`init`: what a host argument means, and that what is written for any hosts is an inventory that loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.control.init import HostArgument, HostFacts, data_address, node_name, parse_host, unique_names
from pdctl.control.init_template import Draft, default_prefill, inventory_text
from pdctl.errors import UsageError
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.model.deployment import SshSettings
from pdctl.model.role import Role, SupervisorKind

DRAFT = Draft("prod", "/models/DeepSeek-R1", SshSettings(user="ops"), prefill=1)
HOST = HostFacts("mi300x", "10.0.0.1", 22, 8, "mi300x", 8, "10.1.0.1", systemd=True, docker=True)


def hosts(count: int, **changes: object) -> list[HostFacts]:
    return [
        replace(HOST, host=f"10.0.0.{number}", data_address=f"10.1.0.{number}", **changes)  # type: ignore[arg-type]
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mi300x-01", HostArgument(None, "mi300x-01", 22)),
        ("10.0.0.1:2222", HostArgument(None, "10.0.0.1", 2222)),
        ("a=mi300x-01.rack.example", HostArgument("a", "mi300x-01.rack.example", 22)),
        ("a=[fd00::1]:2222", HostArgument("a", "fd00::1", 2222)),
    ],
)
def test_a_host_argument(text: str, expected: HostArgument) -> None:
    assert parse_host(text) == expected


@pytest.mark.parametrize("text", ["", "ops@host", "host:0", "host:65536", "host:ssh", "fd00::1", "=host"])
def test_what_is_no_host_argument(text: str) -> None:
    with pytest.raises(UsageError, match="not a host"):
        parse_host(text)


@pytest.mark.parametrize(
    ("hostname", "name"),
    [("MI300X-01.rack.example", "mi300x-01"), ("gpu_7", "gpu-7"), ("___", "node"), ("x" * 40, "x" * 32)],
)
def test_a_nodes_name_from_its_host_name(hostname: str, name: str) -> None:
    assert node_name(hostname) == name


def test_hosts_of_one_name_are_numbered() -> None:
    assert unique_names(hosts(3)) == ["mi300x", "mi300x-2", "mi300x-3"]


@pytest.mark.parametrize(
    ("nics", "addresses", "expected"),
    [
        ([{"netdev": "rdma0", "address": "10.1.0.7"}], {"eth0": "10.0.0.7"}, "10.1.0.7"),
        ([{"netdev": "rdma0", "address": None}], {"eth0": "10.0.0.7"}, "10.0.0.7"),
        ([], {"lan": "192.168.0.7", "eth0": "10.0.0.7"}, "10.0.0.7"),
        ([], {"lan": "192.168.0.7"}, "192.168.0.7"),  # the SSH host is a forwarder
        ([], {}, "10.0.0.7"),
    ],
)
def test_where_engines_should_talk(nics: list[dict[str, object]], addresses: dict[str, str], expected: str) -> None:
    assert data_address("10.0.0.7", {"nics": nics, "addresses": addresses}) == expected


@pytest.mark.parametrize(("nodes", "prefill"), [(1, 1), (2, 1), (3, 1), (5, 2), (10, 4)])
def test_how_many_nodes_prefill(nodes: int, prefill: int) -> None:
    assert default_prefill(nodes) == prefill


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize(
    ("changes", "supervisor"),
    [
        ({}, SupervisorKind.DOCKER),
        ({"docker": False}, SupervisorKind.SYSTEMD),
        ({"docker": False, "systemd": False}, SupervisorKind.PROCESS),
        ({"gpus": None, "gpu": "unknown", "nics": 0}, SupervisorKind.DOCKER),
        ({"port": 2222, "gpus": 4}, SupervisorKind.DOCKER),
    ],
)
def test_what_is_written_loads_and_has_both_roles(
    count: int, changes: dict[str, object], supervisor: SupervisorKind
) -> None:
    text = inventory_text(DRAFT, hosts(count, **changes))
    made = place(parse(text.encode(), Path("inventory.yaml")))
    roles = [instance.role for instance in made.instances]
    assert (roles.count(Role.PREFILL), roles.count(Role.DECODE)) == (1, max(count - 1, 1))
    assert (made.cluster, made.engine.supervisor, len(made.nodes)) == ("prod", supervisor, count)
    assert ("no GPU could be seen" in text) is ("gpus" in changes and changes["gpus"] is None)


def test_one_gpu_alone_serves_colocated() -> None:
    made = place(parse(inventory_text(DRAFT, hosts(1, gpus=1)).encode(), Path("inventory.yaml")))
    assert [(instance.role, instance.parallel.tp) for instance in made.instances] == [(Role.MIXED, 1)]


@pytest.mark.parametrize(("systemd", "supervisor"), [(True, SupervisorKind.SYSTEMD), (False, SupervisorKind.PROCESS)])
def test_the_router_runs_under_what_its_host_has(systemd: bool, supervisor: SupervisorKind) -> None:
    made = place(parse(inventory_text(DRAFT, hosts(2, systemd=systemd)).encode(), Path("inventory.yaml")))
    assert (made.engine.supervisor, made.router.supervisor) == (SupervisorKind.DOCKER, supervisor)


def test_what_was_typed_is_quoted_in_the_yaml() -> None:
    ssh = SshSettings(user='o"ps: #', identity="/keys/a b", jump="ops@bastion:2222", known_hosts="/keys/'known'")
    text = inventory_text(replace(DRAFT, model="a: {b}", ssh=ssh), hosts(2))
    made = place(parse(text.encode(), Path("inventory.yaml")))
    got = made.nodes["mi300x"].ssh
    assert (made.model.name, got.user, got.identity, got.jump) == ("a: {b}", ssh.user, ssh.identity, ssh.jump)
    assert got.known_hosts == ssh.known_hosts
