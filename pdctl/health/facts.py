"""All that is known of one node: who it is, what its parts told, and what its counters gained. Nothing is judged.

`node_facts` parses an envelope. A parser that raises is a defect of ours: its part is then not known, and the judging
frame says so, but the node's other parts are judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from pdctl.health.counters import Counted, Gains
from pdctl.health.envelope import Envelope

T = TypeVar("T")

GpuFacts = Any  # until pdctl.health.gpu_facts stands
NicFacts = Any  # until pdctl.health.nic_facts stands
HostFacts = Any  # until pdctl.health.host_facts stands


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node's facts. `envelope` is what they come from, for evidence and for how long tools took.

    A part is its dataclass of nothing but unknowns where its parser failed; `defects` then says which and how.
    `counted` are all counters of all parts; `gains` what they gained since the baseline.
    """

    node: str
    envelope: Envelope
    gpu: GpuFacts
    nic: NicFacts
    host: HostFacts
    counted: tuple[Counted, ...] = ()
    gains: Gains = field(default_factory=Gains)
    defects: tuple[str, ...] = ()
