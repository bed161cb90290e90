"""Roles, KV connectors, transfer modes: the enums that everything else is keyed by."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What an instance does for a request."""

    PREFILL = "prefill"
    DECODE = "decode"
    MIXED = "mixed"

    @property
    def opposite(self) -> Role | None:
        """The role that must be on the other end of a KV transfer; None for mixed."""
        return {Role.PREFILL: Role.DECODE, Role.DECODE: Role.PREFILL}.get(self)

    @property
    def letter(self) -> str:
        """`P`, `D` or `M`, as in 2P3D and in the router's registration messages."""
        return self.value[0].upper()


class Connector(StrEnum):
    """How KV moves between instances."""

    MORIIO = "moriio"
    NIXL = "nixl"
    NONE = "none"
    DECODE_BENCH = "decode-bench"

    @property
    def moves_kv(self) -> bool:
        """Whether KV gets from one instance to another by it."""
        return self in (Connector.MORIIO, Connector.NIXL)


class TransferMode(StrEnum):
    """Who moves the KV: READ, decode pulls after the prefill answered; WRITE, prefill pushes while it computes."""

    READ = "read"
    WRITE = "write"


class EngineKind(StrEnum):
    VLLM = "vllm"
    SIMULATED = "simulated"


class RouterKind(StrEnum):
    VLLM_ROUTER = "vllm-router"
    TOY_PROXY = "moriio-toy-proxy"


class SupervisorKind(StrEnum):
    """What keeps a unit on a node."""

    SYSTEMD = "systemd"
    DOCKER = "docker"
    PROCESS = "process"


class UnitKind(StrEnum):
    """What a unit of ours is."""

    ENGINE = "engine"
    ROUTER = "router"
    REGISTRAR = "registrar"
