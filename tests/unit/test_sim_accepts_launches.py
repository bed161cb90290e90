"""What pdctl renders for vLLM, the simulated engine understands: every shipped inventory, every shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.engines.engine import render
from pdctl.inventory.load import load
from pdctl.inventory.place import place
from pdctl.model.deployment import Deployment
from pdctl.model.role import Connector, Role
from pdctl.sim.engine_args import check_startup, parse_args
from pdctl.sim.engine_knobs import read_knobs
from pdctl.sim.engine_parts import moriio_settings
from tests.unit.deployments import every_cluster

SHIPPED = sorted((Path(__file__).parents[2] / "inventories").glob("*.yaml"))


@pytest.mark.parametrize("deployment", every_cluster(), ids=lambda each: each.cluster)
def test_every_shape_starts(deployment: Deployment) -> None:
    _check(deployment)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_inventory_starts(path: Path) -> None:
    _check(place(load(path)))


def _check(deployment: Deployment) -> None:
    for instance in deployment.instances:
        launch = render(deployment, instance, dict.fromkeys(instance.nodes, 1))
        for process in launch.processes:
            args = parse_args(process.argv[process.argv.index("serve") :])
            check_startup(args)
            assert args.headless or args.port == launch.ports.http
            assert (args.tp, args.dp) == (instance.parallel.tp, instance.parallel.dp)
            if instance.role is Role.MIXED:
                assert args.kv is None
            elif deployment.kv.connector is Connector.MORIIO:
                assert args.kv is not None
                settings = moriio_settings(args, args.kv, read_knobs(process.env), 30.0)
                assert settings.producer is (instance.role is Role.PREFILL)
                assert settings.read_mode is (deployment.kv.mode == "read")
                assert settings.me.host == deployment.nodes[process.node].data_address
                if not args.headless:
                    assert (settings.me.handshake_port, settings.me.notify_port) == (
                        launch.ports.handshake,
                        launch.ports.notify,
                    )
