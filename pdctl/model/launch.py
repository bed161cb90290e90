"""A launch: one start of one instance, with its generation, ports, processes and how the router will know it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass

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
class Rail:
    """One RDMA device as engines name it. `gpu`: the GPU that it is the rail of; None where that is not known."""

    device: str
    gpu: int | None = None


@dataclass(frozen=True, slots=True)
class FabricFacts:
    """What a node's fabric is, as its engines must be told: found there, and no input of the operator.

    `rails` in the order of the rails, which is not that of names. `gid_index`: one that holds for all of them.
    `socket_interface` carries the data address. `traffic_class`, `service_level`: of the priority that never drops.
    None and "" where it is not known, or not the same on all rails: engines then choose by themselves.
    """

    rails: tuple[Rail, ...] = ()
    gid_index: int | None = None
    socket_interface: str = ""
    traffic_class: int | None = None
    service_level: int | None = None

    def devices(self, gpus: tuple[int, ...]) -> tuple[str, ...]:
        """The devices for engines on `gpus`: their own rails where each GPU has one, else all."""
        own = tuple(rail.device for rail in self.rails if rail.gpu in gpus)
        return own if len(own) == len(gpus) else tuple(rail.device for rail in self.rails)

    @property
    def digest(self) -> str:
        """12 hex digits that change with any of it: the label that tells what a running engine was started with."""
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()[:12]


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
