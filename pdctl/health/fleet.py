"""From envelopes to a fleet that can be judged."""

from __future__ import annotations

from collections.abc import Mapping

from pdctl.health.check import Fleet
from pdctl.health.counters import Baseline
from pdctl.health.envelope import Envelope
from pdctl.health.expectations import Situation, expectations
from pdctl.health.facts import node_facts
from pdctl.model.check_policy import CheckPolicy
from pdctl.model.deployment import Deployment
from pdctl.model.observed import Trouble


def fleet_of(
    deployment: Deployment,
    envelopes: Mapping[str, Envelope],
    *,
    policy: CheckPolicy | None = None,
    situation: Situation | None = None,
    unreachable: Mapping[str, Trouble] | None = None,
    baselines: Mapping[str, Baseline] | None = None,
) -> Fleet:
    """The fleet that `envelopes` (by node name) show. Envelopes of nodes out of scope or not in the deployment are
    left out; a node in scope that has neither envelope nor trouble was not collected, and is said to be so.

    `policy` None: the inventory's own.
    """
    policy = policy or deployment.checks
    expected = expectations(deployment, policy, situation or Situation())
    known = baselines or {}
    nodes = {name: node_facts(name, envelopes[name], known.get(name)) for name in expected if name in envelopes}
    silent = {name: Trouble("nothing was collected there") for name in expected if name not in nodes}
    told = {name: trouble for name, trouble in (unreachable or {}).items() if name in silent}
    return Fleet(nodes, expected, policy, {**silent, **told})
