"""Ports of a launch: a new block for every generation, all of it on one address, none of it in the ephemeral range.

Why new ones each time: MoRI-IO names a peer `ip:handshake_port` and never forgets it, so an engine reborn on the same
port is met with stale memory keys (vLLM 0.33 moriio_connector.py). Why one planner: a handshake port that is taken
makes vLLM hang at start-up without a word (same file), and its listeners bind every address of the machine.

The block of generation g is number `(g - 1) mod blocks` of the node's usable blocks. The counter belongs to the node
(`Supervisor.take_generations`), so co-located instances draw from one sequence and a port comes back only after
`launches_before_reuse` launches: 398 for a node of 8 GPUs behind a router on port 30000 (12768 ports, 32 a block, one
block left out for the router). Inventory entries that share a machine share the range by their order, equally.
"""

from __future__ import annotations

from pdctl.engines.port_rule_on_node import first_port
from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment, Instance, NodeSpec
from pdctl.model.launch import Ports

FIRST_PORT = 20_000
END_PORT = 32_768
"""First port past the range: Linux hands out ephemeral ports from here (net.ipv4.ip_local_port_range)."""

RPC_PORTS = 4
"""DP coordinator (`--data-parallel-rpc-port`), torch master (`--master-port`), and two to spare."""

_FIXED_PORTS = 8  # http, RPC_PORTS, and three to spare at the end
_ROUTER_PORTS = 10
"""A router's HTTP port and the nine above it are left to it: discovery and metrics ports alternate there per flip."""


def block_size(node: NodeSpec) -> int:
    """Ports of one launch on `node`: 8 + 3 per GPU, whatever the instance's shape, so that blocks never straddle."""
    return _FIXED_PORTS + 3 * node.gpus


def reserved_ports(deployment: Deployment) -> frozenset[int]:
    """Ports that no engine may be given: the router's HTTP port and those above it, and any `…port` in its args.

    They are left out on every node, not only on the router's, so that another router node changes no engine's ports.
    """
    router = deployment.router
    named = {
        int(str(value))
        for key, value in router.args.items()
        if key.replace("_", "-").endswith("port") and str(value).isdecimal()
    }
    return frozenset({*range(router.port, router.port + _ROUTER_PORTS), *named})


def usable_blocks(deployment: Deployment, node: NodeSpec) -> tuple[int, ...]:
    """First ports of the blocks that launches on `node` may use, ascending.

    Raises PlanRefused where none is left (far too many inventory entries on one machine).
    """
    sharers = _sharers(deployment, node)
    share = (END_PORT - FIRST_PORT) // len(sharers)
    start = FIRST_PORT + sharers.index(node.name) * share
    size = block_size(node)
    taken = {(port - start) // size for port in reserved_ports(deployment)}
    blocks = tuple(
        first for index, first in enumerate(range(start, start + share - size + 1, size)) if index not in taken
    )
    if not blocks:
        raise PlanRefused(
            f"{node.name}: no ports left, {len(sharers)} nodes share {node.data_address}",
            hint="give the nodes data addresses and machines of their own",
        )
    return blocks


def launches_before_reuse(deployment: Deployment, node: NodeSpec) -> int:
    """How many launches on `node` until a port comes back."""
    return len(usable_blocks(deployment, node))


def plan_ports(deployment: Deployment, instance: Instance, generation: int) -> Ports:
    """The block of one launch, by its leader's node. `generation` counts that node's launches, from 1."""
    if generation < 1:
        raise ValueError(f"generations count from 1, not {generation}")
    node = deployment.nodes[instance.leader.node]
    blocks = usable_blocks(deployment, node)
    return ports_from_http(deployment, instance, first_port(blocks, generation))


def ports_from_http(deployment: Deployment, instance: Instance, http: int) -> Ports:
    """The block that starts with HTTP port `http`.

    The layout depends on the node's GPU count alone: what a running engine listens on follows from its recorded
    endpoint, even after the inventory was edited in a way that plans other ports for the next launch.
    """
    node = deployment.nodes[instance.leader.node]
    handshake = http + 1 + RPC_PORTS
    return Ports(
        http=http,
        handshake=handshake,
        notify=handshake + node.gpus,
        side_channel=handshake + 2 * node.gpus,
        rpc=http + 1,
        ranks=max(len(part.gpus) for part in instance.parts),
        block=(http, http + block_size(node) - 1),
    )


def _sharers(deployment: Deployment, node: NodeSpec) -> tuple[str, ...]:
    """Names of the nodes on the same machine or data address, `node` included, in the inventory's order."""
    found = {node.name}
    grown = True
    while grown:
        members = [deployment.nodes[name] for name in found]
        addresses = {member.data_address for member in members}
        machines = {member.host_id for member in members if member.host_id}
        near = {
            other.name
            for other in deployment.nodes.values()
            if other.data_address in addresses or other.host_id in machines
        }
        grown = not near <= found
        found |= near
    return tuple(name for name in deployment.nodes if name in found)
