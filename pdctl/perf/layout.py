"""What serves: instances by role, each a number of lock-step ranks with their limits, and how KV moves between them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pdctl.model.role import Role, TransferMode
from pdctl.perf.step_time import StepConstants


class Placement(StrEnum):
    """Which rank of an instance takes a new request: any one, or the one with least in hand."""

    RANDOM = "random"
    LEAST = "least"


class Policy(StrEnum):
    """Which instance of a role the router gives a request to."""

    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
    LEAST = "least"  # in hand


@dataclass(frozen=True, slots=True)
class InstanceModel:
    """One engine of `ranks` ranks that step together. `chunk_tokens` is vLLM's `max_num_batched_tokens` and `max_seqs`
    its `max_num_seqs`, both per rank; `kv_tokens` is what a rank's KV cache holds (None: taken as enough)."""

    role: Role
    constants: StepConstants
    ranks: int = 1
    chunk_tokens: int = 8192
    max_seqs: int = 1024
    kv_tokens: int | None = None
    placement: Placement = Placement.LEAST


@dataclass(frozen=True, slots=True)
class TransferModel:
    """How KV of one request gets from prefill to decode. `proxy_s`: what the proxy adds to one leg."""

    mode: TransferMode = TransferMode.WRITE
    bytes_per_token: float = 0.0
    bandwidth_bytes_per_s: float = 20e9
    handshake_s: float = 0.0
    proxy_s: float = 0.0

    def after_prefill_s(self, tokens: int) -> float:
        """Seconds from the end of the prefill until decode has all KV of a prompt of `tokens`.

        READ is serial: the proxy hears of the prefill, tells decode, which then pulls everything. WRITE pushes each
        layer as it is computed, so that only the hand-shake is left at the end.
        """
        if self.mode is TransferMode.WRITE:
            return self.handshake_s
        return self.proxy_s + self.handshake_s + tokens * self.bytes_per_token / self.bandwidth_bytes_per_s


@dataclass(frozen=True, slots=True)
class Layout:
    """Instances behind one router: {mixed}, or {prefill, decode}. `policy` picks among mixed or prefill instances,
    `decode_policy` among decode instances (None: the same one)."""

    instances: tuple[InstanceModel, ...]
    transfer: TransferModel = TransferModel()
    policy: Policy = Policy.ROUND_ROBIN
    decode_policy: Policy | None = None

    def __post_init__(self) -> None:
        roles = {instance.role for instance in self.instances}
        if roles not in ({Role.MIXED}, {Role.PREFILL, Role.DECODE}):
            raise ValueError("a layout is mixed instances, or prefill and decode instances")

    @property
    def colocated(self) -> bool:
        return self.instances[0].role is Role.MIXED

    @property
    def words(self) -> str:
        """`2P3D`, or `5M`."""
        counts = {role: sum(1 for each in self.instances if each.role is role) for role in Role}
        return "".join(f"{count}{role.letter}" for role, count in counts.items() if count)
