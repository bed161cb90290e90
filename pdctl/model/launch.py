"""A launch: one start of one instance, with its generation, ports, processes and how the router will know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.model.deployment import Instance
from pdctl.model.unit import Labels


@dataclass(frozen=True, slots=True)
class Ports:
    """The port block of one launch on the leader's data address. Ranges are [first, first + count)."""

    http: int
    handshake: int  # first of `ranks` ports: MoRI-IO handshake listeners
    notify: int  # first of `ranks` ports: MoRI-IO notify listeners
    side_channel: int  # first of `ranks` ports: NIXL side channel
    rpc: int  # DP coordinator and torch master, `RPC_PORTS` ports
    ranks: int
    block: tuple[int, int]  # the whole block, [first, last]

    def listening(self) -> tuple[int, ...]:
        """Every port that must be free before the start."""
        return tuple(range(self.block[0], self.block[1] + 1))


@dataclass(frozen=True, slots=True)
class Registration:
    """What the registrar tells the router about a member. `transfer_mode` is READ or WRITE, upper case."""

    type: str  # "P" | "D"; "M" for a mixed instance (added by URL, not registered)
    http_address: str  # "10.0.0.1:20005"
    zmq_address: str
    dp_size: int
    tp_size: int
    transfer_mode: str | None


@dataclass(frozen=True, slots=True)
class Process:
    """One part's process on its node. `secrets` names the secrets that its environment file must hold."""

    node: str
    labels: Labels
    argv: tuple[str, ...]
    env: Mapping[str, str]
    secrets: tuple[str, ...]
    paths: tuple[str, ...]
    address: str
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of one instance. `endpoint` is the leader's (address, HTTP port)."""

    instance: Instance
    generation: int
    ports: Ports
    processes: tuple[Process, ...]
    endpoint: tuple[str, int]
    registration: Registration
    spec_hash: str
