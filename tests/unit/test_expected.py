"""What telemetry expects follows the units, also where the inventory that was read is older than they are."""

from __future__ import annotations

from dataclasses import replace

from pdctl.control.expected import expected_instances, holders, moved_notes, take_router
from pdctl.model.hold import Hold, HoldKind, Holds
from pdctl.model.observed import MembershipSeen, NodeView, Observed, Trouble
from pdctl.model.role import Role
from pdctl.model.snapshot import Vital
from pdctl.model.unit import UnitStatus
from pdctl.telemetry.instance import Expected
from pdctl.telemetry.router import RouterSight
from tests.unit.deployments import r1_2p3d
from tests.unit.observations import parts_of

WANTED = r1_2p3d()
MOVED = next(instance for instance in WANTED.instances if instance.role is Role.PREFILL)


def seen(units: list[UnitStatus]) -> Observed:
    views = {name: NodeView(name, name, "boot", 1, 1, ()) for name in WANTED.nodes}
    node = MOVED.leader.node
    return Observed({**views, node: replace(views[node], units=tuple(units))}, {})


def test_an_instance_that_was_moved_meanwhile_is_counted_where_it_serves_and_the_reader_is_told() -> None:
    units = parts_of(WANTED, MOVED)
    still = seen(units)
    assert moved_notes(WANTED, still) == ()
    there = [replace(unit, labels=replace(unit.labels, pool="decode", role="decode")) for unit in units]
    now = seen(there)
    (found,) = [expected for expected in expected_instances(WANTED, now) if expected.name == MOVED.name]
    assert (found.pool, found.role) == ("decode", Role.DECODE)
    (note,) = moved_notes(WANTED, now)
    assert f"{MOVED.name} (decode)" in note
    assert holders(WANTED, still)[MOVED.leader.node] == {MOVED.pool}
    assert holders(WANTED, now)[MOVED.leader.node] == {"decode", MOVED.pool}


def test_a_router_that_is_not_there_is_down_unless_its_own_node_cannot_be_asked() -> None:
    nodes = {name: NodeView(name, name, "boot", 1, 1, ()) for name in WANTED.nodes}
    home = WANTED.router.node
    other = next(name for name in nodes if name != home)
    for away, vital in ((other, Vital.DOWN), (home, Vital.UNKNOWN)):
        there = {name: view for name, view in nodes.items() if name != away}
        sight = RouterSight()
        take_router(sight, WANTED, Observed(there, {away: Trouble("no route to it")}), 0.0)
        assert sight.vital is vital


def test_what_was_known_of_members_stays_and_grows_old_where_nobody_can_be_asked() -> None:
    sight = RouterSight(members={"a": True}, members_s=1.0)
    take_router(sight, WANTED, seen([]), 30.0)
    assert (sight.member("a", 5.0), sight.member("b", 5.0), sight.member("a", 30.0)) == (True, False, None)


def test_what_a_hold_keeps_out_of_service_is_not_said_to_be_starting() -> None:
    hold = Hold(f"{MOVED.leader.node}.{MOVED.leader.slot}", HoldKind.DRAINED, "ops@bastion", "new fans", 0.0)
    still = replace(seen(parts_of(WANTED, MOVED)), membership=MembershipSeen(1, 1, True, {}, 0.5))

    def of_moved(observed: Observed) -> Expected:
        return next(each for each in expected_instances(WANTED, observed) if each.name == MOVED.name)

    assert (of_moved(still).vital, of_moved(still).why, of_moved(still).held) == (Vital.STARTING, "not registered", "")
    held = of_moved(replace(still, holds=Holds.at(1.0, [hold])))
    told = "drained by ops@bastion: new fans"
    assert (held.vital, held.why, held.held) == (Vital.UP, told, told)
    pinned = replace(still, holds=Holds.at(1.0, [replace(hold, kind=HoldKind.PINNED)]))
    assert of_moved(pinned).held == ""
