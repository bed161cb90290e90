"""Observations built by hand, for the tests of plans: a converged cluster, and one change after another to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pdctl.model.deployment import Deployment, Instance
from pdctl.model.observed import MemberSeen, MembershipSeen, NodeView, Observed, Trouble
from pdctl.model.role import UnitKind
from pdctl.model.unit import ExitEvidence, Labels, UnitState, UnitStatus
from pdctl.plan.steps import REGISTRAR, ROUTER, Plan
from pdctl.plan.up import Wanted

HASH = "as-wanted"
NO_ROUTE = Trouble("no route to host", "is it on?", 4)


def wanted(deployment: Deployment) -> Wanted:
    """Every unit is wanted with the spec hash `HASH`."""
    parts = {part.name: HASH for instance in deployment.instances for part in instance.parts}
    return Wanted({**parts, ROUTER: HASH, REGISTRAR: HASH})


def service(deployment: Deployment, name: str, state: UnitState = UnitState.RUNNING) -> UnitStatus:
    return UnitStatus(Labels(deployment.cluster, name, 1, HASH, UnitKind(name)), state)


def parts_of(deployment: Deployment, instance: Instance, state: UnitState = UnitState.RUNNING) -> list[UnitStatus]:
    """The units of all parts of an instance, as wanted, in generation 1."""
    return [
        UnitStatus(
            Labels(
                deployment.cluster,
                part.name,
                1,
                HASH,
                UnitKind.ENGINE,
                instance.pool,
                instance.role.value,
                part.gpus,
            ),
            state,
            endpoint="10.1.0.1:20000",
        )
        for part in instance.parts
    ]


def stray(deployment: Deployment, name: str, gpus: tuple[int, ...] = ()) -> UnitStatus:
    return UnitStatus(
        Labels(deployment.cluster, name, 7, "x", UnitKind.ENGINE, "gone", "decode", gpus), UnitState.RUNNING
    )


@dataclass
class Scene:
    """What is there, to be changed at will; `seen()` is the observation of it."""

    deployment: Deployment
    units: dict[str, dict[str, UnitStatus]] = field(default_factory=dict)
    unreachable: dict[str, Trouble] = field(default_factory=dict)
    members: dict[str, MemberSeen] | None = field(default_factory=dict)

    @classmethod
    def nothing(cls, deployment: Deployment) -> Scene:
        """Reachable nodes with nothing on them; no registrar says anything."""
        return cls(deployment, {node: {} for node in deployment.nodes}, members=None)

    @classmethod
    def converged(cls, deployment: Deployment) -> Scene:
        """Everything runs as wanted and serves."""
        scene = cls(deployment, {node: {} for node in deployment.nodes})
        for name in (ROUTER, REGISTRAR):
            scene.units[deployment.router.node][name] = service(deployment, name)
        for instance in deployment.instances:
            scene.put(instance)
            assert scene.members is not None
            scene.members[instance.name] = MemberSeen(instance.name, 1, True, "")
        return scene

    def put(self, instance: Instance, state: UnitState = UnitState.RUNNING) -> None:
        """All parts of the instance, in that state."""
        for part, unit in zip(instance.parts, parts_of(self.deployment, instance, state), strict=True):
            self.units[part.node][part.name] = unit

    def state(self, name: str, state: UnitState, exit: ExitEvidence | None = None) -> None:
        """The unit of that name is in another state."""
        units = self.units[self.node_of(name)]
        units[name] = replace(units[name], state=state, exit=exit)

    def label(self, name: str, **changes: object) -> None:
        """The unit of that name has other labels."""
        units = self.units[self.node_of(name)]
        labels = replace(units[name].labels, **changes)  # type: ignore[arg-type]
        units[name] = replace(units[name], labels=labels)

    def gone(self, name: str) -> None:
        """No trace of the unit of that name."""
        del self.units[self.node_of(name)][name]

    def node_of(self, name: str) -> str:
        return next(node for node, units in self.units.items() if name in units)

    def lose(self, *nodes: str) -> None:
        """Those nodes cannot be asked; with the router's goes the registrar's word."""
        self.unreachable.update(dict.fromkeys(nodes, NO_ROUTE))
        if self.deployment.router.node in nodes:
            self.members = None

    def seen(self) -> Observed:
        views = {
            node: NodeView(node, f"machine-{node}", "boot", 1, 1, tuple(units.values()))
            for node, units in self.units.items()
            if node not in self.unreachable
        }
        if self.members is None:
            return Observed(views, self.unreachable, None, "the registrar does not run")
        return Observed(views, self.unreachable, MembershipSeen(1, 1, True, self.members, 0.5))


def steps_of(plan: Plan, subject: str) -> list[str]:
    """Actions on one subject, in the plan's order."""
    return [step.action.name for step in plan.steps if step.subject == subject]


def changes_of(plan: Plan) -> dict[str, str]:
    return {change.subject: change.kind.value for change in plan.changes}


def ancestors(plan: Plan, name: str) -> set[str]:
    """Every step that has ended when step `name` starts."""
    by_id = {step.id: step for step in plan.steps}
    found: set[str] = set()
    todo = [name]
    while todo:
        step = by_id[todo.pop()]
        todo += [each for each in (*step.needs, *step.after) if each not in found]
        found.update(step.needs, step.after)
    return found


def assert_executable(plan: Plan) -> None:
    """No step waits for itself, by whatever way."""
    assert [step.id for step in plan.steps if step.id in ancestors(plan, step.id)] == []


def names(instances: Iterable[Instance]) -> list[str]:
    return [instance.name for instance in instances]


def by_role(deployment: Deployment) -> Mapping[str, list[str]]:
    """Instance names by role."""
    roles: dict[str, list[str]] = {}
    for instance in deployment.instances:
        roles.setdefault(instance.role.value, []).append(instance.name)
    return roles
