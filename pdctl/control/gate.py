"""The gate of `up`: T1 of the nodes where a plan starts something. A slot that fails is left out, the rest goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pdctl.control.admission import Admission
from pdctl.control.check import Checked, check
from pdctl.control.check_said import check_ended, failed_checks
from pdctl.control.check_scope import slots_of
from pdctl.control.cluster import Cluster
from pdctl.control.execute import Emit
from pdctl.control.steps.context import RunContext
from pdctl.control.steps.pace import Pacer
from pdctl.control.steps.prove import prove
from pdctl.errors import PlanRefused
from pdctl.health.launch_facts import of_node
from pdctl.health.records import HealthRecords
from pdctl.health.report import Report, SlotVerdict
from pdctl.model.events import CheckBegan
from pdctl.model.launch import FabricFacts
from pdctl.model.observed import Observed, Trouble
from pdctl.model.role import EngineKind
from pdctl.plan.gate import launched, refused, short_of_floor
from pdctl.plan.held import held_instances
from pdctl.plan.steps import Plan, Step

HINT = "`pdctl check` shows the evidence and what to do; `--skip-checks` starts it all the same"


@dataclass(frozen=True, slots=True)
class Gate:
    """Checks what a plan starts on, and times what it started. `records` remember counters between checks."""

    cluster: Cluster
    records: HealthRecords

    def prover(self) -> Callable[[RunContext, Step], Awaitable[Mapping[str, Any]]]:
        """The step that proves an engine: real ones are timed too, simulated ones take the time that they are told."""
        simulated = self.cluster.deployment.engine.kind is EngineKind.SIMULATED
        return prove if simulated else Pacer(self.records).prove

    async def admit(self, plan: Plan, observed: Observed, emit: Emit) -> Admission:
        """Which instances of the plan may start, and what their nodes tell them.

        Raises PlanRefused where the rest would not reach a pool's floor.
        """
        deployment = self.cluster.deployment
        starting = launched(plan)
        if not starting:
            return Admission()
        scope = slots_of(deployment, starting)
        await emit(CheckBegan(tuple(sorted({slot.partition(".")[0] for slot in scope}))))
        checked = await check(self.cluster, scope=scope, observed=observed, records=self.records)
        lost = refused(deployment, starting, unfit_slots(checked.report))
        for failed in failed_checks(checked.report):
            await emit(failed)
        await emit(check_ended(checked))
        short = short_of_floor(deployment, lost, held_instances(deployment, observed.holds.standing))
        if short:
            first = next(iter(lost.values()))
            raise PlanRefused(f"nodes are not fit to serve, and {'; '.join(short)}: {first.cause}", hint=HINT)
        return Admission(lost, _fabric(checked))


def unfit_slots(report: Report) -> Mapping[str, Trouble]:
    """By slot id: why it may not serve, in one line that names the check."""
    return {slot.slot: _trouble(slot) for slot in report.slots if not slot.may_serve}


def _trouble(slot: SlotVerdict) -> Trouble:
    if slot.trouble is not None:
        return slot.trouble
    first = slot.blockers[0]
    subject = f"{first.subject.node} {first.subject.device}".strip()
    expected = f", expected {first.expected}" if first.expected else ""
    more = len({finding.check for finding in slot.blockers}) - 1
    others = f" (and {more} more)" if more else ""
    return Trouble(f"{first.check}: {subject}: {first.observed}{expected}{others}", HINT)


def _fabric(checked: Checked) -> Mapping[str, FabricFacts]:
    """By node, of those whose RDMA devices are known and wanted."""
    fleet = checked.fleet
    told = {name: of_node(facts, fleet.expected[name]) for name, facts in fleet.nodes.items()}
    return {name: found.fabric for name, found in told.items() if found is not None}
