"""Plan `up`: start what is missing, adopt what runs, replace what differs, stop what the inventory no longer holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pdctl.model.deployment import Deployment, Instance
from pdctl.model.observed import Observed, Trouble
from pdctl.model.role import UnitKind
from pdctl.model.unit import UnitState
from pdctl.plan.chains import bring_up, take_down
from pdctl.plan.flip import in_halves
from pdctl.plan.floors import serving_pools
from pdctl.plan.held import held_instances, hold_warnings, left_alone
from pdctl.plan.occupied import holders
from pdctl.plan.router_move import leave_old_router
from pdctl.plan.standing import Stand, Standing, stand
from pdctl.plan.steps import (
    CLUSTER,
    REGISTRAR,
    ROUTER,
    Action,
    Blocked,
    Change,
    ChangeKind,
    Plan,
    Step,
    step_id,
)
from pdctl.plan.waves import FAILURE_BUDGET, PoolCapacity, Turnover, bound_sets, in_waves


@dataclass(frozen=True, slots=True)
class Wanted:
    """Spec hashes by unit: every instance part's name, `router` and `registrar`. `differences` say what changed since
    the last applied inventory, by instance name. `flips`: the KV transfer mode changed (see `flip`)."""

    hashes: Mapping[str, str]
    differences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    flips: bool = False


def plan_up(
    deployment: Deployment,
    wanted: Wanted,
    observed: Observed,
    *,
    only: frozenset[str] | None = None,
    restart: frozenset[str] = frozenset(),
    refused: Mapping[str, Trouble] | None = None,
    left: Mapping[str, Trouble] | None = None,
    hung: frozenset[str] = frozenset(),
    at_once: int = 1,
) -> Plan:
    """The steps that make the cluster what the inventory says.

    `only` limits the plan to those instances (None: all of them, router and strays too); `restart` names instances and
    services that are relaunched even though they run as wanted. Engines that serve are replaced in waves of `at_once`
    of a pool (`waves`), unless one gets the other's GPUs. `refused` are instances that must not be launched, with why:
    what of them runs is left as it is, and so are `left` (instances, strays, services) and what a hold keeps out of
    service. `hung` are stopped without a drain, which would never end.
    Nothing that serves is replaced while the router's node is out of reach, since the router could still choose it, nor
    in a pool of which too much is out of reach.
    """
    draft = _Draft(deployment, wanted, observed, dict(refused or {}), left or {}, hung, restart)
    draft.routing()
    held = held_instances(deployment, observed.holds.standing)
    chosen = [each for each in deployment.instances if only is None or each.name in only]
    for instance in chosen:
        if instance.name not in held:
            draft.instance(instance, restart=instance.name in restart)
    if only is None:
        draft.strays()
    draft.vacate()
    draft.take_turns(at_once)
    draft.proof()
    if only is None:
        changes, steps = leave_old_router(observed, draft.steps)
        draft.changes += changes
        draft.steps += steps
    kept = left_alone(deployment, observed, (each.name for each in chosen))
    warnings = hold_warnings(deployment, observed.holds)
    return Plan("up", tuple(draft.changes), tuple(draft.steps), tuple(draft.blocked), kept, warnings)


@dataclass(slots=True)
class _Draft:
    deployment: Deployment
    wanted: Wanted
    observed: Observed
    refused: dict[str, Trouble]
    left: Mapping[str, Trouble]
    hung: frozenset[str]
    restart: frozenset[str]
    changes: list[Change] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    router_starts: bool = False
    registrar_starts: bool = False
    losing: dict[str, str] = field(default_factory=dict)  # as in `waves.Turnover`
    gaining: dict[str, str] = field(default_factory=dict)
    leaving: dict[str, str] = field(default_factory=dict)
    holders: dict[str, frozenset[str]] = field(init=False)
    serving: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        everyone = self.deployment.instances
        self.serving = serving_pools(self.deployment, self.observed)
        self.holders = {each.name: holders(self.deployment, each, self.observed) for each in everyone}
        for name, others in self.holders.items():
            for other in sorted(others & self.left.keys()):
                self.refused[name] = Trouble(f"{other} has its GPUs, and is left as it is", self.left[other].hint)

    def routing(self) -> None:
        node = self.deployment.router.node
        trouble = self.observed.unreachable.get(node)
        if trouble is not None:
            self.blocked.append(Blocked(ROUTER, node, trouble))
            return
        self.registrar_starts = self._service(REGISTRAR, node, Action.START_REGISTRAR, Action.STOP_REGISTRAR)
        self.router_starts = self._service(ROUTER, node, Action.START_ROUTER, Action.STOP_ROUTER)

    def _service(self, name: str, node: str, start: Action, stop: Action) -> bool:
        unit = self.observed.unit(name)
        anew = name in self.restart
        if name in self.left:
            self.blocked.append(Blocked(name, node, self.left[name]))
            return False
        if unit is not None and unit.state is UnitState.UNKNOWN:
            self.blocked.append(Blocked(name, node, Trouble("its state could not be read")))
            return False
        if unit is not None and unit.state in (UnitState.RUNNING, UnitState.STOPPING):
            reason = "still stopping"
            if unit.state is UnitState.RUNNING:
                old, new = unit.labels.spec_hash, self.wanted.hashes[name]
                if old == new and not anew:
                    return False
                reason = "restart asked for" if old == new else f"settings changed (spec {old} -> {new})"
            self.changes.append(Change(ChangeKind.RESTART if anew else ChangeKind.REPLACE, name, node, reason))
            self.steps.append(Step(stop, name, node, reason))
            self.steps.append(Step(start, name, node, reason, needs=(step_id(stop, name),)))
            return True
        reason = unit.exit.cause if unit is not None and unit.exit is not None else "not running"
        self.changes.append(Change(ChangeKind.START, name, node, reason))
        self.steps.append(Step(start, name, node, reason))
        return True

    def instance(self, instance: Instance, *, restart: bool) -> None:
        seen = stand(instance, self._hashes(instance), self.observed)
        node, name = instance.leader.node, instance.name
        router = self.deployment.router.node
        match seen.standing:
            case Standing.BLOCKED:
                assert seen.trouble is not None
                self.blocked.append(Blocked(name, seen.blocked_node, seen.trouble))
            case standing if standing is not Standing.DOWN and router in self.observed.unreachable:
                self.blocked.append(Blocked(name, router, self.observed.unreachable[router]))
            case _ if name in self.left:
                self.blocked.append(Blocked(name, node, self.left[name]))
            case Standing.SERVING if not restart:
                return
            case Standing.UNREGISTERED if not restart:
                self.changes.append(Change(ChangeKind.ADOPT, name, node, seen.reason))
                self.gaining[name] = instance.pool
                self._bring_up(instance, seen.reason, start=False)
            case _ if name in self.refused:
                self.blocked.append(Blocked(name, node, self.refused[name]))
            case Standing.DOWN:
                self.changes.append(Change(ChangeKind.START, name, node, seen.reason))
                self.gaining[name] = instance.pool
                self._bring_up(instance, seen.reason, start=True)
            case _:
                self._replace(instance, seen, restart=restart)

    def _hashes(self, instance: Instance) -> dict[str, str]:
        return {part.name: self.wanted.hashes[part.name] for part in instance.parts}

    def _bring_up(self, instance: Instance, reason: str, *, start: bool, needs: tuple[str, ...] = ()) -> None:
        self.steps += bring_up(instance, reason, start=start, registrar_starts=self.registrar_starts, needs=needs)

    def _replace(self, instance: Instance, seen: Stand, *, restart: bool) -> None:
        node, name = instance.leader.node, instance.name
        reason = "restart asked for" if restart and seen.standing is not Standing.OUTDATED else seen.reason
        kind = ChangeKind.RESTART if restart else ChangeKind.REPLACE
        unknown = seen.standing is Standing.UNREGISTERED and self.observed.membership is None
        serves = unknown or seen.standing in (Standing.SERVING, Standing.OUTDATED)
        missing = self._out_of_reach(instance.pool) if serves and not restart else None
        if missing is not None:
            self.blocked.append(Blocked(name, node, missing))
            return
        self.changes.append(Change(kind, name, node, reason, self.wanted.differences.get(name, ())))
        if name in self.serving:
            self.losing[name] = self.serving[name]
        else:
            self.gaining[name] = instance.pool
        self.steps += take_down(name, node, reason, drain=serves and name not in self.hung)
        self._bring_up(instance, "", start=True, needs=(step_id(Action.STOP, name),))

    def _out_of_reach(self, pool: str) -> Trouble | None:
        """Why nothing of the pool is replaced now: too much of it may be gone already."""
        members = [each for each in self.deployment.instances if each.pool == pool]
        lost = [each for each in members if not self.observed.unreachable.keys().isdisjoint(each.nodes)]
        if len(lost) < FAILURE_BUDGET * len(members):
            return None
        cause = f"{len(lost)} of {len(members)} instances of pool {pool} are out of reach: none that serves is replaced"
        return Trouble(cause, "mend them first; `pdctl restart` replaces one all the same", 4)

    def strays(self) -> None:
        """Units of this cluster on reachable nodes that the inventory does not hold."""
        done = {part.name for instance in self.deployment.instances for part in instance.parts}
        router = self.observed.unreachable.get(self.deployment.router.node)
        for view in self.observed.nodes.values():
            for unit in view.units:
                labels = unit.labels
                alive = unit.state in (UnitState.RUNNING, UnitState.STOPPING)
                if labels.kind is not UnitKind.ENGINE or labels.instance in done or not alive:
                    continue
                done.add(labels.instance)
                if router is not None:
                    self.blocked.append(Blocked(labels.instance, self.deployment.router.node, router))
                    continue
                if labels.instance in self.left:
                    self.blocked.append(Blocked(labels.instance, view.node, self.left[labels.instance]))
                    continue
                reason = "not in the inventory"
                self.changes.append(Change(ChangeKind.STOP, labels.instance, view.node, reason))
                self.leaving[labels.instance] = labels.pool
                self.steps += take_down(labels.instance, view.node, reason, drain=True)

    def vacate(self) -> None:
        """A start waits until nothing of ours lives on its GPUs any more."""
        ids = {step.id for step in self.steps}
        for index, step in enumerate(self.steps):
            if step.action is Action.START:
                stops = (step_id(Action.STOP, name) for name in sorted(self.holders[step.subject]))
                self.steps[index] = replace(step, needs=(*step.needs, *(stop for stop in stops if stop in ids)))

    def take_turns(self, at_once: int) -> None:
        """Who serves waits for its wave."""
        turnover = Turnover(self.losing, self.gaining, self.leaving, bound_sets(self.holders))
        if self.wanted.flips and self.router_starts:
            sides = {each.name: each.role.value for each in self.deployment.instances}
            self.steps = in_halves(self.steps, turnover, self._capacities(), sides)
            return
        self.steps = in_waves(self.steps, turnover, self._capacities(), at_once)

    def _capacities(self) -> dict[str, PoolCapacity]:
        """Every pool that somebody serves in, or is to."""
        serving = Counter(self.serving.values())
        sizes = Counter(instance.pool for instance in self.deployment.instances)
        pools = self.deployment.pools
        names = {*pools, *serving, *self.losing.values()}
        floors = {name: pools[name].min_instances if name in pools else 0 for name in names}
        return {name: PoolCapacity(serving[name], sizes[name], floors[name]) for name in names}

    def proof(self) -> None:
        registers = tuple(step.id for step in self.steps if step.action is Action.REGISTER)
        if not registers and not self.router_starts:
            return
        needs = (step_id(Action.START_ROUTER, ROUTER),) if self.router_starts else ()
        node = self.deployment.router.node
        if node not in self.observed.unreachable:
            self.steps.append(Step(Action.PROVE_WHOLE, CLUSTER, node, "prove the whole", needs=needs, after=registers))
