"""`status`: what may be said of a cluster that can only partly be asked. Unknown is never good, bad or absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from pdctl.control.clock import SystemClock
from pdctl.control.cluster import Cluster
from pdctl.control.ports import Answer, Http, Member, Membership, NotAnswering
from pdctl.control.status import ClusterStatus, State, UnitView, status
from pdctl.control.wanted import wanted
from pdctl.errors import InstanceError, Unreachable
from pdctl.model.deployment import Deployment
from pdctl.model.hold import Hold, HoldKind
from pdctl.model.observed import MemberSeen, MembershipSeen, NodeView, Observed
from pdctl.model.unit import ExitEvidence, UnitState
from pdctl.plan.steps import REGISTRAR, ROUTER
from pdctl.ssh.fake import FakeShells
from pdctl.supervisors.ports import Supervisor
from tests.unit.deployments import r1_2p3d
from tests.unit.lease_node import lease_shell
from tests.unit.observations import Scene, stray

FIRST, SECOND, LAST = "mi300x-01", "mi300x-02", "mi300x-05"
STOPPED = ExitEvidence(0, None, 1.0, requested=True)


@dataclass(frozen=True, slots=True)
class SeenNode:
    """A supervisor that shows one node of an observation."""

    node: str
    seen: Observed
    notes: tuple[str, ...] = ()

    async def inspect(self, *, claim: int | None = None) -> NodeView:
        trouble = self.seen.unreachable.get(self.node)
        if trouble is not None:
            raise Unreachable(self.node, trouble.cause, hint=trouble.hint)
        return replace(self.seen.nodes[self.node], notes=self.notes)


@dataclass(frozen=True, slots=True)
class Word:
    """The registrar's word, or none."""

    word: MembershipSeen | None

    async def members(self) -> Mapping[str, Member]:
        return {}

    async def replace(self, members: Mapping[str, Member], *, epoch: int) -> None:
        raise AssertionError("status writes nothing")

    async def clear(self, *, epoch: int) -> None:
        raise AssertionError("status writes nothing")

    async def seen(self) -> MembershipSeen:
        if self.word is None:
            raise InstanceError(REGISTRAR, "its state cannot be read")
        return self.word


@dataclass(frozen=True, slots=True)
class Health:
    """Engines that answer /health, but for those on `silent` nodes."""

    silent: frozenset[str] = frozenset()

    async def request(self, node: str, method: str, url: str, **rest: Any) -> Answer:
        if node in self.silent:
            raise NotAnswering("no answer in 3 s")
        return Answer(200, "")


def scene() -> Scene:
    """Everything serves."""
    deployment = r1_2p3d()
    made = Scene.converged(deployment)
    for name, digest in wanted(deployment).hashes.items():
        made.label(name, spec_hash=digest)
    return made


async def shown(
    made: Scene,
    *,
    silent: frozenset[str] = frozenset(),
    notes: tuple[str, ...] = (),
    alerts: tuple[str, ...] = (),
    holds: Sequence[Hold] | None = (),
) -> ClusterStatus:
    deployment, seen = made.deployment, made.seen()
    nodes = {name: cast(Supervisor, SeenNode(name, seen, notes if name == FIRST else ())) for name in deployment.nodes}
    word = None if seen.membership is None else replace(seen.membership, alerts=alerts)
    return await status(cluster_of(deployment, nodes, Health(silent), Word(word), holds))


def cluster_of(
    deployment: Deployment,
    nodes: Mapping[str, Supervisor],
    http: Http,
    members: Membership,
    holds: Sequence[Hold] | None = (),
) -> Cluster:
    return Cluster(
        deployment,
        FakeShells({}),
        lease_shell(deployment.lease_node, holds),
        nodes,
        nodes[deployment.router.node],
        http,
        members,
        SystemClock(),
    )


def by_name(found: ClusterStatus) -> dict[str, UnitView]:
    return {view.name: view for view in (*found.instances, *found.services)}


async def test_a_cluster_that_serves() -> None:
    found = await shown(scene())
    assert (found.ratio, found.serving, found.exit_code, found.strays, found.alerts) == ("2P3D", True, 0, (), ())
    assert {view.state for view in found.instances} == {State.SERVING}


async def test_a_node_out_of_reach_is_unknown_and_exits_4() -> None:
    made = scene()
    made.lose(LAST)
    found = await shown(made)
    assert (found.ratio, found.serving, found.exit_code) == ("2P 2/3D", True, 4)
    assert by_name(found)[f"{LAST}.all.0"].state is State.UNKNOWN
    assert set(found.unreachable) == {LAST}


async def test_with_the_routers_node_out_of_reach_nobody_can_say_who_is_a_member() -> None:
    made = scene()
    made.lose(FIRST)
    found = await shown(made)
    assert found.serving is None
    assert {view.state for view in by_name(found).values()} == {State.UNKNOWN}


async def test_a_registrar_that_runs_and_cannot_be_read_leaves_membership_unknown() -> None:
    made = scene()
    made.members = None
    found = await shown(made)
    assert found.serving is None
    assert {view.state for view in found.instances} == {State.UNKNOWN}
    assert "its state cannot be read" in found.instances[0].why


async def test_a_registrar_that_does_not_run_registers_nobody() -> None:
    made = scene()
    made.members = None
    made.state(REGISTRAR, UnitState.FAILED, ExitEvidence(None, "SIGKILL", 1.0, requested=False))
    found = await shown(made)
    assert {view.state for view in found.instances} == {State.UNREGISTERED}
    assert (found.serving, by_name(found)[REGISTRAR].why) == (False, "killed by SIGKILL")


@pytest.mark.parametrize(
    ("state", "exit_", "expected"),
    [
        (UnitState.RUNNING, None, State.RUNNING),
        (UnitState.STOPPING, None, State.STOPPING),
        (UnitState.UNKNOWN, None, State.UNKNOWN),
        (UnitState.EXITED, STOPPED, State.DOWN),
        (UnitState.EXITED, replace(STOPPED, requested=False), State.FAILED),
        (UnitState.FAILED, ExitEvidence(1, None, 1.0, requested=False), State.FAILED),
        (UnitState.FAILED, None, State.FAILED),
    ],
)
async def test_a_service_in_every_state_of_its_unit(
    state: UnitState, exit_: ExitEvidence | None, expected: State
) -> None:
    made = scene()
    made.state(ROUTER, state, exit_)
    found = await shown(made)
    view = by_name(found)[ROUTER]
    assert (view.state, view.why != "") == (expected, exit_ is not None or expected in (State.UNKNOWN, State.FAILED))
    assert found.serving is {State.RUNNING: True, State.UNKNOWN: None}.get(expected, False)


async def test_an_engine_that_failed_without_evidence_has_failed() -> None:
    made = scene()
    made.state(f"{LAST}.all.0", UnitState.FAILED, None)
    view = by_name(await shown(made))[f"{LAST}.all.0"]
    assert (view.state, view.why) == (State.FAILED, "it failed, and left no evidence of how")


async def test_a_stopped_cluster_says_down_and_no_more() -> None:
    made = scene()
    made.members = None
    for units in made.units.values():
        units.clear()
    found = await shown(made)
    assert {(view.state, view.why) for view in by_name(found).values()} == {(State.DOWN, "")}


@pytest.mark.parametrize(
    ("registered", "answers", "expected"),
    [(True, True, State.SERVING), (True, False, State.SILENT), (False, True, State.WITHHELD)],
)
async def test_a_member_as_the_registrar_and_health_see_it(registered: bool, answers: bool, expected: State) -> None:
    made = scene()
    name = f"{SECOND}.all.0"
    assert made.members is not None
    made.members[name] = MemberSeen(name, 1, registered, "3 bad answers")
    found = await shown(made, silent=frozenset() if answers else frozenset({SECOND}))
    assert by_name(found)[name].state is expected


async def test_only_what_lives_is_a_stray() -> None:
    made = scene()
    for name in ("lives", "ended"):
        made.units[LAST][name] = stray(made.deployment, name)
    made.state("ended", UnitState.EXITED, STOPPED)
    assert (await shown(made)).strays == ("lives",)


async def test_alerts_say_whose_they_are_and_a_nodes_notes_are_among_them() -> None:
    found = await shown(scene(), notes=("the ledger of generations was lost",), alerts=("one is kept out",))
    assert found.alerts == ("registrar: one is kept out", f"{FIRST}: the ledger of generations was lost")


HELD = Hold(f"{LAST}.all", HoldKind.DRAINED, "ops@bastion", "new fans", 100.0)


async def test_what_is_drained_is_out_of_service_and_says_who_and_why() -> None:
    made = scene()
    assert made.members is not None
    del made.members[f"{LAST}.all.0"]
    found = await shown(made, holds=[HELD])
    view = by_name(found)[f"{LAST}.all.0"]
    assert (view.state, view.held) == (State.DRAINED, "drained by ops@bastion: new fans")
    assert (found.ratio, found.serving, found.holds) == ("2P 2/3D", True, (HELD,))


async def test_what_is_held_and_still_a_member_is_not_called_drained() -> None:
    view = by_name(await shown(scene(), holds=[HELD]))[f"{LAST}.all.0"]
    assert view.state is State.SERVING
    assert "still a member" in view.held


@pytest.mark.parametrize("kind", [HoldKind.DRAINED, HoldKind.QUARANTINED])
async def test_a_held_engine_that_failed_is_held_and_its_end_is_told(kind: HoldKind) -> None:
    made = scene()
    made.state(f"{LAST}.all.0", UnitState.EXITED, STOPPED)
    view = by_name(await shown(made, holds=[replace(HELD, kind=kind)]))[f"{LAST}.all.0"]
    assert (view.state.value, "stopped" in view.why) == (kind.value, True)


async def test_a_node_out_of_reach_is_unknown_whoever_holds_it() -> None:
    made = scene()
    made.lose(LAST)
    view = by_name(await shown(made, holds=[HELD]))[f"{LAST}.all.0"]
    assert (view.state, view.held) == (State.UNKNOWN, "drained by ops@bastion: new fans")


async def test_a_pin_changes_no_state_and_a_hold_that_ran_out_holds_nothing() -> None:
    pinned = replace(HELD, kind=HoldKind.PINNED)
    assert by_name(await shown(scene(), holds=[pinned]))[f"{LAST}.all.0"].state is State.SERVING
    late = await shown(scene(), holds=[replace(HELD, until_s=101.0)])
    assert (late.holds, [hold.slot for hold in late.expired_holds]) == ((), [HELD.slot])
    assert by_name(late)[f"{LAST}.all.0"].held == ""


async def test_a_damaged_record_of_holds_is_said_and_not_taken_for_none() -> None:
    found = await shown(scene(), holds=None)
    assert any("which slots are held is not known" in alert for alert in found.alerts)
