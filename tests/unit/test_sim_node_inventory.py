"""The inventory that a fleet of simulated nodes writes for itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.inventory.load import load
from pdctl.inventory.place import place
from pdctl.model.role import EngineKind, Role, SupervisorKind, TransferMode
from pdctl.sim.fleet_inventory import InventoryNode, InventoryPlan, Layout, parse_layout, render_inventory


def plan(**changes: object) -> InventoryPlan:
    given: dict[str, object] = {
        "cluster": "demo",
        "layout": Layout(2, 3),
        "mode": "read",
        "nodes": [InventoryNode(f"n{index}", 2200 + index, f"127.9.9.{index}") for index in range(1, 7)],
        "user": "me",
        "identity": "/a b/client_key",
        "known_hosts": "/a b/known_hosts",
        "model_path": "/a b/model",
        "python": '/odd "dir": #x/python',
        "router_port": 12345,
        "startup_s": 2.0,
        "env": {"GREETING": 'say "yes": {no}'},
    }
    return InventoryPlan(**{**given, **changes})  # type: ignore[arg-type]


def test_pdctl_loads_it_and_finds_everything_where_it_belongs(tmp_path: Path) -> None:
    file = tmp_path / "inventory.yaml"
    file.write_text(render_inventory(plan()))
    deployment = place(load(file))
    assert (deployment.engine.kind, deployment.engine.supervisor) == (EngineKind.SIMULATED, SupervisorKind.PROCESS)
    assert deployment.engine.python == '/odd "dir": #x/python'
    assert deployment.kv.mode is TransferMode.READ
    assert (deployment.router.node, deployment.router.port) == ("n1", 12345)
    assert [instance.role for instance in deployment.instances] == [Role.PREFILL] * 2 + [Role.DECODE] * 3
    assert [slot.node for slot in deployment.slots if slot.pool is None] == ["n6"]
    env = deployment.pools["decode"].env
    assert (env["PDCTL_SIM_STARTUP_S"], env["GREETING"]) == ("2", 'say "yes": {no}')
    node = deployment.nodes["n4"]
    assert (node.host, node.port, node.data_address) == ("127.0.0.1", 2204, "127.9.9.4")
    assert (node.ssh.user, node.ssh.identity) == ("me", "/a b/client_key")


@pytest.mark.parametrize(("text", "prefill", "decode"), [("2P3D", 2, 3), ("1p4d", 1, 4), ("10P20D", 10, 20)])
def test_layouts(text: str, prefill: int, decode: int) -> None:
    assert parse_layout(text) == Layout(prefill, decode)


@pytest.mark.parametrize("text", ["", "2P", "0P3D", "3D2P", "2P3D ", "2x3"])
def test_what_is_no_layout_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="2P3D"):
        parse_layout(text)
