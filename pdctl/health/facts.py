"""All that is known of one node: who it is, what its parts told, and what its counters gained. Nothing is judged.

Each part has a file of its own: `gpu_facts.gpu_facts(envelope) -> GpuFacts`, likewise `nic_facts` and `host_facts`. A
part that has counters gives them as `counters: tuple[Counted, ...]`. A parser that raises is a defect of ours: its part
is then unknown, every check that asks for it says so, and the node's other parts are judged all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pdctl.health.counters import Baseline, Counted, Gains, gains, next_baseline
from pdctl.health.envelope import Envelope
from pdctl.health.gpu_facts import GpuFacts, gpu_facts
from pdctl.health.host_facts import HostFacts, host_facts
from pdctl.health.nic_facts import NicFacts, nic_facts
from pdctl.model.reading import Known, Reading, Unknown

T = TypeVar("T")


class NotRead(Exception):
    """A part of a node's facts that a check asked for could not be made out; `judge` turns it into an UNKNOWN."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node's facts. `envelope` is what they come from, for evidence and for how long tools took.

    `counted` are all counters of all parts; `gains` what they gained since the baseline. `gpu`, `nic` and `host` raise
    NotRead where their part is unknown.
    """

    node: str
    envelope: Envelope
    gpu_part: Reading[GpuFacts]
    nic_part: Reading[NicFacts]
    host_part: Reading[HostFacts]
    counted: tuple[Counted, ...] = ()
    gains: Gains = field(default_factory=Gains)

    @property
    def gpu(self) -> GpuFacts:
        return _known(self.gpu_part)

    @property
    def nic(self) -> NicFacts:
        return _known(self.nic_part)

    @property
    def host(self) -> HostFacts:
        return _known(self.host_part)

    def vram_bytes(self, gpus: tuple[int, ...]) -> tuple[Reading[int], ...]:
        """Total VRAM of each of `gpus`, in bytes. Raises NotRead where the node's GPUs are unknown."""
        found = (self.gpu.gpu(index) for index in gpus)
        return tuple(gpu.memory.total_bytes for gpu in found if gpu is not None)

    @property
    def defects(self) -> tuple[str, ...]:
        """Parts whose parser failed, with how."""
        parts = (self.gpu_part, self.nic_part, self.host_part)
        return tuple(part.reason for part in parts if isinstance(part, Unknown))

    def baseline(self) -> Baseline:
        """What the next check compares this node's counters with."""
        envelope = self.envelope
        return next_baseline(self.counted, envelope.machine_id, envelope.boot_id, envelope.wall_s)


def node_facts(node: str, envelope: Envelope, baseline: Baseline | None = None) -> NodeFacts:
    """What `envelope` tells of `node`. Never raises for what a node may have sent."""
    gpu: Reading[GpuFacts] = _part("GPU", lambda: gpu_facts(envelope))
    nic: Reading[NicFacts] = _part("NIC", lambda: nic_facts(envelope))
    host: Reading[HostFacts] = _part("host", lambda: host_facts(envelope))
    counted = _counted(gpu, nic, host)
    gained = gains(counted, envelope.machine_id, envelope.boot_id, envelope.wall_s, baseline)
    return NodeFacts(node, envelope, gpu, nic, host, counted, gained)


def _part(name: str, read: Callable[[], T]) -> Reading[T]:
    try:
        return Known(read(), "envelope")
    except Exception as error:  # any defect of a parser, whatever it is
        return Unknown(f"the {name} outputs could not be parsed: {type(error).__name__}: {error}", "envelope")


def _known(part: Reading[T]) -> T:
    if isinstance(part, Unknown):
        raise NotRead(part.reason)
    return part.value


def _counted(*parts: Reading[Any]) -> tuple[Counted, ...]:
    return tuple(
        counted for part in parts if isinstance(part, Known) for counted in getattr(part.value, "counters", ())
    )
