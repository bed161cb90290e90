"""Looks at the nodes lightly, every so often, while they serve; telemetry shows what it finds as alerts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

from pdctl.control.check_scope import registry_for
from pdctl.control.clock import Clock
from pdctl.control.collect_nodes import Collected, collect_nodes
from pdctl.health.collection import Profile
from pdctl.health.counters import Baseline
from pdctl.health.envelope import Envelope
from pdctl.health.fleet import fleet_of
from pdctl.health.judge import judge
from pdctl.health.light import light_alerts, light_registry
from pdctl.model.deployment import Deployment
from pdctl.model.observed import Trouble
from pdctl.model.snapshot import Alert
from pdctl.ssh.ports import Shells

INTERVAL_S = 15.0


@dataclass(slots=True)
class LightWatch:
    """One watch of one deployment. Counters are compared from look to look; it remembers nothing after its end."""

    deployment: Deployment
    shells: Shells
    clock: Clock
    interval_s: float = INTERVAL_S
    baselines: Mapping[str, Baseline] = field(default_factory=dict)  # of the last look
    _alerts: Mapping[str, Alert] = field(default_factory=dict)

    async def alerts(self) -> AsyncIterator[tuple[Alert, ...]]:
        """What stands after every look, the oldest first. Ends only with its reader."""
        while True:
            began_s = self.clock.monotonic()
            yield await self.look()
            await self.clock.sleep(max(0.0, self.interval_s - (self.clock.monotonic() - began_s)))

    async def look(self) -> tuple[Alert, ...]:
        """One look at every node that holds a slot.

        Raises InventoryError where the inventory names a check that does not exist.
        """
        nodes = _held(self.deployment)
        answers = await collect_nodes(self.deployment, self.shells, self.clock, nodes, profile=Profile.LIGHT)
        return self.take(answers)

    def take(self, answers: Mapping[str, Collected]) -> tuple[Alert, ...]:
        """What stands after these answers, one of every node. Raises as `look`."""
        registry = light_registry(registry_for(self.deployment))
        fleet = fleet_of(self.deployment, _envelopes(answers), unreachable=_troubles(answers), baselines=self.baselines)
        self.baselines = {**self.baselines, **{name: facts.baseline() for name, facts in fleet.nodes.items()}}
        self._alerts = light_alerts(judge(fleet, registry), self._alerts, self.clock.time())
        return tuple(sorted(self._alerts.values(), key=lambda alert: (alert.since_s, alert.id)))


def _held(deployment: Deployment) -> Iterable[str]:
    held = {slot.node for slot in deployment.slots}
    return [name for name in deployment.nodes if name in held]


def _envelopes(answers: Mapping[str, Collected]) -> dict[str, Envelope]:
    return {name: answer for name, answer in answers.items() if isinstance(answer, Envelope)}


def _troubles(answers: Mapping[str, Collected]) -> dict[str, Trouble]:
    return {name: answer for name, answer in answers.items() if isinstance(answer, Trouble)}
