"""One deployment on its nodes: is it there, bring it up, prove it, take it down; by the ordinary use cases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from pdctl.bench.campaign.contender import Contender
from pdctl.bench.point import Target
from pdctl.bench.reach import Reached, prove, reached
from pdctl.control.down import down
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session, Sink
from pdctl.control.observe import observe
from pdctl.control.opened import Opened, open_cluster
from pdctl.control.playbook_gate import sing
from pdctl.control.status import State, status
from pdctl.control.up import UpOptions, up
from pdctl.errors import PdctlError
from pdctl.inventory.playbook_schema import CanaryVerb
from pdctl.model.unit import UnitState

PROVE_S = 60.0
"""Longest time for the first request."""
_LIVES = (UnitState.RUNNING, UnitState.STOPPING, UnitState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Occupied:
    """What lives on the nodes: parts of the deployment's own cluster, units of others. `launches`: what changes when
    one of its own is started anew."""

    own: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    launches: Mapping[str, str] = field(default_factory=dict)

    @property
    def clusters(self) -> frozenset[str]:
        """Whose units the others are; they are called `pdctl.<cluster>.<part>`."""
        return frozenset(name.split(".")[1] for name in self.others if name.count(".") >= 2)


Showing = Callable[[Contender], AbstractContextManager[Sink]]
"""A view of the events of one `up` or `down` of that contender."""


class Stage(Protocol):
    """Where a contender is played."""

    async def look(self, contender: Contender) -> Occupied:
        """What lives there now. Raises PdctlError where that cannot be found out."""
        ...

    async def up(self, contender: Contender, interrupt: Interrupt) -> int:
        """The ordinary `up`. Returns its exit code."""
        ...

    async def prove(self, contender: Contender) -> str:
        """Whether all of it serves, and every pair hands over; "" or why not."""
        ...

    def reached(self, contender: Contender, target: Target) -> AbstractAsyncContextManager[Reached]:
        """The target as it is reached from here, after one request was answered whole. Raises PdctlError."""
        ...

    async def down(self, contender: Contender, interrupt: Interrupt) -> int:
        """The ordinary `down`. Returns its exit code."""
        ...


@dataclass(frozen=True, slots=True)
class ClusterStage:
    """The real one. `run`: the name of the command's run, for journals; `up_options`: as the operator asked."""

    showing: Showing
    run: str
    up_options: UpOptions = field(default_factory=UpOptions)

    async def look(self, contender: Contender) -> Occupied:
        async with open_cluster(contender.path) as opened:
            observed = await observe(opened.cluster)
        if observed.unreachable:
            node, trouble = next(iter(observed.unreachable.items()))
            raise PdctlError(f"{node} cannot be asked what runs there: {trouble.cause}", hint=trouble.hint)
        units = [unit for view in observed.nodes.values() for unit in view.units if unit.state in _LIVES]
        units += [unit for _, unit in observed.elsewhere]
        others = {name for view in observed.nodes.values() for name in view.others}
        launches = {unit.labels.instance: f"{unit.labels.generation} {unit.incarnation}" for unit in units}
        return Occupied(tuple(sorted(launches)), tuple(sorted(others)), launches)

    async def up(self, contender: Contender, interrupt: Interrupt) -> int:
        async with open_cluster(contender.path) as opened:
            with self.showing(contender) as sink:
                return await up(opened, self.up_options, Session(sink, interrupt, self.run))

    async def prove(self, contender: Contender) -> str:
        async with open_cluster(contender.path) as opened:
            return await _missing(opened) or await _pairs(opened)

    @asynccontextmanager
    async def reached(self, contender: Contender, target: Target) -> AsyncIterator[Reached]:
        async with reached(contender.deployment, target) as found:
            await prove(found.target, deadline_s=PROVE_S)
            yield found

    async def down(self, contender: Contender, interrupt: Interrupt) -> int:
        async with open_cluster(contender.path) as opened:
            with self.showing(contender) as sink:
                return await down(opened, Session(sink, interrupt, self.run))


async def _missing(opened: Opened) -> str:
    """A deployment without one of its instances (held, unfit) is another one than that which is to be measured."""
    seen = await status(opened.cluster)
    missing = [view.name for view in seen.instances if view.state is not State.SERVING]
    return f"{', '.join(missing)} of it do not serve" if missing else ""


async def _pairs(opened: Opened) -> str:
    sung = await sing(opened, CanaryVerb(rounds=1))
    return sung.said if sung.code else ""
