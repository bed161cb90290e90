"""Routers from a deployment: command lines, ports, facts, units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pdctl.errors import PlanRefused
from pdctl.model.deployment import ArgValue, Deployment
from pdctl.model.role import RouterKind, SupervisorKind
from pdctl.model.unit import Restart
from pdctl.routers.facts import Removal, router_facts
from pdctl.routers.ports import RouterPorts, local_address, planned_ports, router_ports
from pdctl.routers.units import registrar_unit, router_unit
from tests.unit.deployments import gpt_oss_8p4d, mori_1p1d, nixl_1p2d, standard_2xtp4


def flags(argv: tuple[str, ...]) -> dict[str, str]:
    """Flag -> the word after it."""
    return {word: following for word, following in zip(argv, (*argv[1:], ""), strict=True) if word.startswith("--")}


def with_router(
    deployment: Deployment,
    *,
    kind: RouterKind = RouterKind.VLLM_ROUTER,
    port: int = 30000,
    host: str = "0.0.0.0",
    script: str | None = None,
    args: Mapping[str, ArgValue] | None = None,
) -> Deployment:
    router = replace(deployment.router, kind=kind, port=port, host=host, script=script, args=args or {})
    return replace(deployment, router=router)


def toy(version: str) -> Deployment:
    return with_router(mori_1p1d(version=version), kind=RouterKind.TOY_PROXY, port=10001, script="/opt/proxy.py")


def test_disaggregated_router_discovers_on_loopback_and_starts_without_members() -> None:
    spec = router_unit(mori_1p1d(), generation=7)
    assert spec.argv[1:3] == ("-m", "vllm_router.launch_router")
    said = flags(spec.argv)
    assert said["--kv-connector"] == "moriio"
    assert "--vllm-pd-disaggregation" in said
    assert said["--vllm-discovery-address"] == "127.0.0.1:30001"
    assert (said["--prometheus-host"], said["--prometheus-port"]) == ("127.0.0.1", "30003")
    assert {"--prefill", "--decode", "--worker-urls", "--intra-node-data-parallel-size"}.isdisjoint(said)
    assert flags(router_unit(nixl_1p2d(), generation=1).argv)["--kv-connector"] == "nixl"


def test_mixed_router_has_no_discovery() -> None:
    spec = router_unit(standard_2xtp4(), generation=1)
    said = flags(spec.argv)
    assert {"--vllm-pd-disaggregation", "--vllm-discovery-address", "--kv-connector"}.isdisjoint(said)
    assert int(said["--worker-startup-timeout-secs"]) <= 3, "the registrar waits for the call that adds a worker"
    assert spec.ports == (30000, 30003)


def test_no_request_is_cut_before_a_drain_would_end() -> None:
    deployment = gpt_oss_8p4d()
    budgets = replace(deployment.budgets, drain_s=7200.5)
    spec = router_unit(replace(deployment, budgets=budgets), generation=1)
    assert flags(spec.argv)["--request-timeout-secs"] == "7201"
    assert spec.stop_s == 7200.5
    assert int(flags(router_unit(deployment, generation=1).argv)["--request-timeout-secs"]) >= 3600


def test_operators_flags_are_added_but_never_replace_ours() -> None:
    args: dict[str, ArgValue] = {
        "log_level": "debug",
        "disable-retries": True,
        "enable-igw": False,
        "request-timeout-secs": 60,
        "router-temperature": -1,
        "port": 1,
    }
    argv = router_unit(with_router(mori_1p1d(), args=args), generation=1).argv
    said = flags(argv)
    assert (said["--log-level"], said["--request-timeout-secs"], said["--port"]) == ("debug", "60", "30000")
    assert "--disable-retries" in said
    assert "--enable-igw" not in said
    assert "--router-temperature=-1" in argv


@pytest.mark.parametrize(
    ("port", "flip", "ports"),
    [
        (30000, 0, RouterPorts(30000, 30001, 30003)),
        (30000, 1, RouterPorts(30000, 30002, 30004)),
        (30000, 2, RouterPorts(30000, 30001, 30003)),
        (65533, 1, RouterPorts(65533, 65530, 65532)),
    ],
)
def test_discovery_and_metrics_alternate_and_http_stays(port: int, flip: int, ports: RouterPorts) -> None:
    assert router_ports(with_router(mori_1p1d(), port=port).router, flip) == ports


def test_two_routers_of_one_flip_share_only_the_http_port() -> None:
    for port in (80, 30000, 65531, 65535):
        spec = with_router(mori_1p1d(), port=port).router
        old, new = router_ports(spec, 0), router_ports(spec, 1)
        assert len({old.http, old.discovery, old.metrics, new.discovery, new.metrics}) == 5
        assert old.http == new.http == port


@pytest.mark.parametrize(
    ("version", "argv", "discovery"),
    [
        ("0.33", ("--port", "10001", "--service-discovery-port", "10002"), 10002),
        ("0.32.1", ("--port", "10001"), 36367),
    ],
)
def test_toy_proxy_by_version(version: str, argv: tuple[str, ...], discovery: int) -> None:
    spec = router_unit(toy(version), generation=1)
    assert spec.argv[1:] == ("/opt/proxy.py", *argv)
    assert planned_ports(toy(version)).discovery == discovery
    assert set(spec.ports) == {10001, discovery}
    assert spec.paths == ("/opt/proxy.py",)


def test_toy_proxy_needs_its_script() -> None:
    with pytest.raises(PlanRefused, match="script"):
        router_unit(with_router(mori_1p1d(), kind=RouterKind.TOY_PROXY), generation=1)


def test_how_members_leave_each_router() -> None:
    facts = router_facts(mori_1p1d())
    assert (facts.removal, facts.transfer_mode_latched) == (Removal.TTL, True)
    assert facts.evict_s >= 4.75, "measured: 4.25 to 4.75 s after the last registration"
    assert not router_facts(nixl_1p2d()).transfer_mode_latched
    assert router_facts(standard_2xtp4()).removal is Removal.ADMIN
    assert router_facts(toy("0.33")).removal is Removal.NEVER


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1:30000"), ("::", "127.0.0.1:30000"), ("10.0.0.1", "10.0.0.1:30000"), ("::1", "[::1]:30000")],
)
def test_router_as_its_own_node_sees_it(host: str, address: str) -> None:
    assert local_address(with_router(mori_1p1d(), host=host).router) == address


def test_units_restart_by_themselves_and_keep_their_hash() -> None:
    deployment = mori_1p1d()
    for unit in (router_unit, registrar_unit):
        first, later = unit(deployment, generation=1), unit(deployment, generation=9)
        assert first.restart is Restart.ALWAYS
        assert (later.labels.generation, later.labels.spec_hash) == (9, first.labels.spec_hash)
    flipped = router_unit(deployment, generation=2, flip=1)
    assert flipped.labels.spec_hash == router_unit(deployment, generation=1).labels.spec_hash
    assert set(flipped.ports) & set(router_unit(deployment, generation=1).ports) == {30000}
    moved = with_router(deployment, port=31000)
    assert router_unit(moved, generation=1).labels.spec_hash != flipped.labels.spec_hash
    docker = replace(deployment, router=replace(deployment.router, supervisor=SupervisorKind.DOCKER))
    assert router_unit(docker, generation=1).labels.spec_hash != flipped.labels.spec_hash


def test_registrar_unit_ships_one_program_and_keeps_its_files_apart() -> None:
    spec = registrar_unit(mori_1p1d(), generation=1)
    assert list(spec.files) == ["registrar.py"]
    assert "{unit_dir}/registrar.py" in spec.argv
    assert flags(spec.argv) == {"--members": "{cluster_dir}/members.json", "--state": "{cluster_dir}/registrar.json"}
    assert all("{unit_dir}" not in text and "{cluster_dir}" not in text for text in spec.files.values())
