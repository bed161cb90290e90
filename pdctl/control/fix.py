"""`check --fix`: the short list of repairs that pdctl may do itself, under the lease and in the journal."""

from __future__ import annotations

from collections.abc import Mapping

from pdctl.control.check import Checked
from pdctl.control.journal import Session
from pdctl.control.lease import Applied
from pdctl.control.observe import observe
from pdctl.control.opened import Opened
from pdctl.control.run import Run
from pdctl.model.observed import Observed, Trouble
from pdctl.plan.fix import plan_fix
from pdctl.plan.steps import Plan

NUMA_BALANCING = "/proc/sys/kernel/numa_balancing"


def numa_balancing_on(checked: Checked) -> tuple[str, ...]:
    """The nodes whose kernel says that it migrates pages; one that says nothing is left alone."""
    return tuple(
        name
        for name, saved in checked.saved.items()
        if (file := saved.envelope.files.get(NUMA_BALANCING)) is not None and file.text.strip() in ("1", "2", "3")
    )


async def fixes(opened: Opened, checked: Checked) -> Plan:
    """What `fix` would do now. Changes nothing."""
    observed = await observe(opened.cluster, tuple(checked.saved))
    return plan_fix(opened.deployment, observed, numa_balancing_on(checked))


async def fix(opened: Opened, checked: Checked, session: Session) -> int:
    """Do it. Returns the exit code of the run."""
    nodes = numa_balancing_on(checked)

    def make_plan(observed: Observed, applied: Applied | None, refused: Mapping[str, Trouble]) -> Plan:
        return plan_fix(opened.deployment, observed, nodes)

    return await Run(opened.cluster, "check --fix", make_plan, session, needs_secrets=False, honours_holds=False).go()
