"""The router's ports. HTTP is the operator's; discovery and metrics lie above it and alternate with every flip.

A flip starts a second router on the same HTTP port while the first one drains its streams, which works at once where
the other ports differ (measured with vllm-router 0.1.17). They stay below the ephemeral range, where an outgoing
connection could hold one: the router then only warns, and runs on without discovery.
"""

from __future__ import annotations

from dataclasses import dataclass

from pdctl.model.deployment import Deployment, RouterSpec
from pdctl.model.role import RouterKind

_WILD = ("0.0.0.0", "::", "")
_LAST_PORT = 65_535
_SPAN = 4
TOY_PROXY_DISCOVERY = 36_367
"""Where moriio_toy_proxy_server.py listens for registrations before vLLM 0.33, which made it a flag."""


@dataclass(frozen=True, slots=True)
class RouterPorts:
    """`discovery` and `metrics` are on loopback only."""

    http: int
    discovery: int
    metrics: int


def router_ports(spec: RouterSpec, flip: int = 0) -> RouterPorts:
    """The ports of the `flip`-th router process. For port 30000: 30001, 30003, then 30002, 30004, and so on."""
    base = spec.port if spec.port + _SPAN <= _LAST_PORT else spec.port - _SPAN - 1
    return RouterPorts(spec.port, base + 1 + flip % 2, base + 3 + flip % 2)


def planned_ports(deployment: Deployment, flip: int = 0) -> RouterPorts:
    """`router_ports`, but for a toy proxy that cannot be told where to listen."""
    ports = router_ports(deployment.router, flip)
    if deployment.router.kind is RouterKind.TOY_PROXY and not has_discovery_flag(deployment):
        return RouterPorts(ports.http, TOY_PROXY_DISCOVERY, ports.metrics)
    return ports


def has_discovery_flag(deployment: Deployment) -> bool:
    """Whether this vLLM's toy proxy knows `--service-discovery-port`."""
    return deployment.engine.version_tuple >= (0, 33)


def client_url(deployment: Deployment) -> str:
    """Where a client on another machine finds the router: at its node's host, unless it listens on one address."""
    router = deployment.router
    if router.host not in _WILD:
        return f"http://{local_address(router)}"
    host = deployment.nodes[router.node].host
    return f"http://[{host}]:{router.port}" if ":" in host else f"http://{host}:{router.port}"


def local_address(spec: RouterSpec) -> str:
    """The router's HTTP address (`host:port`) as seen from its own node."""
    host = "127.0.0.1" if spec.host in _WILD else spec.host
    return f"[{host}]:{spec.port}" if ":" in host else f"{host}:{spec.port}"
