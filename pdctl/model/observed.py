"""What was seen: nodes, their units, who is registered. Every part may be unknown, and says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pdctl.model.hold import Holds
from pdctl.model.unit import UnitStatus


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node as seen by one exec: its units of our cluster and its ledger."""

    node: str
    machine_id: str
    boot_id: str
    generation: int  # the last generation given out on this node, 0 before the first
    epoch: int  # the highest lease epoch seen
    units: tuple[UnitStatus, ...]
    ledger_whole: bool = False  # whether `generation` can be counted on from; a new, lost or damaged ledger cannot
    others: tuple[str, ...] = ()  # names of foreign pdctl clusters' units on overlapping GPUs, for the refusal's text
    notes: tuple[str, ...] = ()  # what the operator should know of the node's own records: a ledger that was lost
    place: str = ""  # which directory holds our state there, by device and inode; "" where that is not known


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something could not be seen or done: one line each, and the exit code of its error class."""

    cause: str
    hint: str = ""
    exit_code: int = 1


@dataclass(frozen=True, slots=True)
class MemberSeen:
    """One member as the registrar reports it; `registered` False carries `why`."""

    name: str
    generation: int
    registered: bool
    why: str


@dataclass(frozen=True, slots=True)
class MembershipSeen:
    """The registrar's own word on who is registered. `age_s` is how old that word is by the node's clock.

    `departed_s`: for former members, seconds since the router may last have been told about them. `listed`: the
    generations that the members file asks for now, by name; the registrar's word may be a moment older than the file.
    None: not known.
    """

    epoch: int
    seq: int
    router_reachable: bool
    members: Mapping[str, MemberSeen]
    age_s: float
    alerts: tuple[str, ...] = ()
    departed_s: Mapping[str, float] = field(default_factory=dict)
    listed: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """The cluster as seen. A node is in `nodes` or in `unreachable`, never in both, never in neither.

    `membership` None means unknown (the registrar does not run or cannot be read), with the reason in
    `membership_trouble`. `holds` are read where they are asked for, and empty elsewhere. `elsewhere`:
    routers and registrars, with their nodes, that live where the inventory does not have the router (any more); they
    are not among `units`.
    """

    nodes: Mapping[str, NodeView]
    unreachable: Mapping[str, Trouble]
    membership: MembershipSeen | None = None
    membership_trouble: str = ""
    holds: Holds = field(default_factory=Holds)
    elsewhere: tuple[tuple[str, UnitStatus], ...] = ()
    units: Mapping[str, UnitStatus] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        units = {unit.labels.instance: unit for view in self.nodes.values() for unit in view.units}
        object.__setattr__(self, "units", units)

    def nodes_of(self, instance: str) -> tuple[str, ...]:
        """The reachable nodes on which a unit of that name was seen; entries of one machine may show the same one."""
        return tuple(
            node for node, view in self.nodes.items() if any(unit.labels.instance == instance for unit in view.units)
        )

    def unit(self, instance: str) -> UnitStatus | None:
        """The unit of one instance part, router or registrar; None where no reachable node has one."""
        return self.units.get(instance)
