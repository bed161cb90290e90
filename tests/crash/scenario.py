"""The commands that are interrupted, and what has to hold of the cluster whatever happened before."""

from __future__ import annotations

from pdctl.control.down import down
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.up import UpOptions, up
from pdctl.control.wanted import wanted
from pdctl.model.unit import UnitState, UnitStatus, unit_name
from tests.crash.world import DEPLOYMENT, World

ENGINES = frozenset(instance.name for instance in DEPLOYMENT.instances)
OURS = ENGINES | {"router", "registrar"}


async def bring_up(opened: Opened, session: Session) -> int:
    return await up(opened, UpOptions(), session)


async def relaunch(opened: Opened, session: Session) -> int:
    """`pdctl restart` of every instance."""
    return await up(opened, UpOptions(only=ENGINES, restart=ENGINES), session)


async def take_down(opened: Opened, session: Session) -> int:
    return await down(opened, session)


def assert_serves(world: World) -> None:
    """Everything runs as the inventory says, once, and the router may pick every engine."""
    hashes = wanted(DEPLOYMENT).hashes
    units = {unit.labels.instance: unit for node in world.nodes.values() for unit in node.units.values() if _ours(unit)}
    assert {name: unit.state for name, unit in units.items()} == dict.fromkeys(OURS, UnitState.RUNNING)
    assert {name: unit.labels.spec_hash for name, unit in units.items()} == hashes
    listed = {name: member.generation for name, member in world.routing.members.items()}
    assert listed == {name: units[name].labels.generation for name in ENGINES}
    assert set(world.routing.pickable()) == {units[name].endpoint for name in ENGINES}


def assert_nothing_left(world: World) -> None:
    """No unit of ours, dead or alive, and no member."""
    assert [unit for node in world.nodes.values() for unit in node.units.values() if _ours(unit)] == []
    assert world.routing.members == {}


def assert_nothing_wrong(world: World) -> None:
    """What must never have happened on the way, by any controller."""
    assert world.history.wrongs == []
    launches = [(name, spec.labels.generation) for name, spec in world.history.starts]
    assert len(set(launches)) == len(launches), "a generation was used twice on one node"
    assert world.history.named <= {unit_name(DEPLOYMENT.cluster, name) for name in OURS}


def _ours(unit: UnitStatus) -> bool:
    return unit.labels.cluster == DEPLOYMENT.cluster
