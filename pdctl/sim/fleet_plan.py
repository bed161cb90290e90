"""Everything that a fleet prepares before its nodes start, and what it publishes once they serve."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pdctl.sim import fleet_record as files
from pdctl.sim.fleet_addresses import Network, claim_network, free_port
from pdctl.sim.fleet_inventory import MODEL_NAME, InventoryNode, InventoryPlan, render_inventory
from pdctl.sim.fleet_keys import known_hosts_line, make_key
from pdctl.sim.fleet_nodes import Planned
from pdctl.sim.node import bind_listener
from pdctl.sim.node_env import NodeConfig
from pdctl.sim.standins.install import install_tools

ROUTER_PORTS = 5  # its HTTP port, and above it discovery and metrics ports that alternate (pdctl.routers.ports)
MODEL_CONFIG = {
    "_name_or_path": MODEL_NAME,
    "model_type": "simulated",
    "num_hidden_layers": 61,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "torch_dtype": "bfloat16",
}
"""The KV of this shape is what simulated engines take the time of: 70,272 bytes a token (see `engine_knobs`)."""


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """A fleet before its start. `network` holds the guard that keeps other fleets off its addresses."""

    options: argparse.Namespace
    directory: Path
    identity: files.Identity
    network: Network
    router_port: int
    host_keys: Mapping[str, str]
    planned: tuple[Planned, ...]


def plan_fleet(options: argparse.Namespace, fleet: str, rng: random.Random) -> FleetPlan:
    """Claim addresses and ports, make keys, tools and the nodes' directories. Raises OSError."""
    directory: Path = options.dir
    network = claim_network(rng)
    client_key = make_key(directory / files.CLIENT_KEY, "pdctl simulated fleet")
    tools = directory / files.TOOLS
    install_tools(tools)
    model = directory / files.MODEL
    model.mkdir()
    (model / "config.json").write_text(json.dumps(MODEL_CONFIG) + "\n")
    host_keys: dict[str, str] = {}
    planned: list[Planned] = []
    for index in range(1, options.nodes + 1):
        name = f"n{index}"
        listener = _listen(rng)
        root = directory / files.NODES / name
        config = NodeConfig(
            fleet=fleet,
            name=name,
            data_address=network.address(index),
            port=listener.getsockname()[1],
            root=root,
            tools=tools,
            client_key=client_key,
            host_key=root / "host_key",
        )
        config.make_directories()
        host_keys[name] = make_key(config.host_key, f"sim-{name}")
        planned.append(Planned(config, listener))
    return FleetPlan(
        options=options,
        directory=directory,
        identity=files.own_identity(fleet),
        network=network,
        router_port=options.router_port or free_port(rng, span=ROUTER_PORTS),
        host_keys=host_keys,
        planned=tuple(planned),
    )


def publish(plan: FleetPlan, pids: Mapping[str, int]) -> files.FleetRecord:
    """Write known_hosts, the inventory and, last, fleet.json."""
    configs = [node.config for node in plan.planned]
    known_hosts = "".join(known_hosts_line(config.port, plan.host_keys[config.name]) for config in configs)
    files.write_atomically(plan.directory / files.KNOWN_HOSTS, known_hosts)
    files.write_atomically(plan.directory / files.INVENTORY, render_inventory(_inventory(plan)))
    record = files.FleetRecord(
        identity=plan.identity,
        cluster=plan.options.cluster,
        network=f"{plan.network.prefix}.0/24",
        client_key=str(plan.directory / files.CLIENT_KEY),
        known_hosts=str(plan.directory / files.KNOWN_HOSTS),
        inventory=str(plan.directory / files.INVENTORY),
        router_port=plan.router_port,
        nodes=tuple(
            files.NodeRecord(
                name=config.name,
                host="127.0.0.1",
                port=config.port,
                data_address=config.data_address,
                root=str(config.root),
                home=str(config.home),
                pid=pids[config.name],
                host_key=plan.host_keys[config.name],
            )
            for config in configs
        ),
    )
    files.write_record(plan.directory, record)
    return record


def _inventory(plan: FleetPlan) -> InventoryPlan:
    options = plan.options
    return InventoryPlan(
        cluster=options.cluster,
        layout=options.layout,
        mode=options.mode,
        nodes=[InventoryNode(node.config.name, node.config.port, node.config.data_address) for node in plan.planned],
        user=_user(),
        identity=str(plan.directory / files.CLIENT_KEY),
        known_hosts=str(plan.directory / files.KNOWN_HOSTS),
        model_path=str(plan.directory / files.MODEL),
        python=options.python,
        router_port=plan.router_port,
        startup_s=options.startup_s,
        prefill_tokens=options.prefill_tokens,
        decode_seqs=options.decode_seqs,
        ttft=options.ttft,
        itl=options.itl,
        env=dict(pair.split("=", 1) for pair in options.env),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        return os.environ.get("USER", "sim")


def _listen(rng: random.Random) -> socket.socket:
    for _ in range(50):
        try:
            return bind_listener(free_port(rng))
        except OSError:  # somebody took it between the look and the bind
            continue
    raise OSError("no free port for a simulated node")
