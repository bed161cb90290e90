"""What a control loop has to know about a router: how members leave it, and what only a new process can change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pdctl.model.deployment import Deployment
from pdctl.model.role import Connector, Role, RouterKind

EVICT_S = 5.0
"""vllm-router 0.1.17 drops a member this long after its last registration (`DEFAULT_PING_SECONDS`; measured: 4.25 to
4.75 s)."""


class Removal(StrEnum):
    """How a member leaves: its registration expires, the router is told, or not at all."""

    TTL = "ttl"
    ADMIN = "admin"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class RouterFacts:
    """`evict_s`: from the registrar's word that a member is off its list until the router cannot choose it any more.

    `transfer_mode_latched`: the first READ or WRITE that the router process hears holds for its life.
    """

    removal: Removal
    evict_s: float
    transfer_mode_latched: bool


def is_disaggregated(deployment: Deployment) -> bool:
    """Whether the router pairs prefill with decode; otherwise it spreads requests over mixed instances."""
    return any(pool.role is not Role.MIXED for pool in deployment.pools.values())


def router_facts(deployment: Deployment) -> RouterFacts:
    """The facts of the deployment's router: of its kind, and of the mode that its pools need."""
    latched = deployment.kv.connector is Connector.MORIIO
    if deployment.router.kind is RouterKind.TOY_PROXY:
        return RouterFacts(Removal.NEVER, 0.0, latched)
    if is_disaggregated(deployment):
        return RouterFacts(Removal.TTL, EVICT_S, latched)
    return RouterFacts(Removal.ADMIN, 0.0, False)  # the registrar names a member until it is off the router's list
