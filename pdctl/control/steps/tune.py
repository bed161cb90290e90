"""Set one kernel parameter of a node, as `check --fix` may: now, and not for the next boot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdctl.control.steps.context import RunContext
from pdctl.errors import CommandFailed
from pdctl.plan.steps import Step
from pdctl.ssh.sudo import SudoShell
from pdctl.ssh.text import last_line

DEADLINE_S = 20.0
PERSIST_HINT = "for the next boot too: echo kernel.numa_balancing=0 | sudo tee /etc/sysctl.d/90-numa-balancing.conf"
_SET = 'printf 0 > /proc/sys/kernel/numa_balancing && test "$(cat /proc/sys/kernel/numa_balancing)" = 0'


async def stop_numa_balancing(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """Write 0 and read it back. Raises CommandFailed where the kernel or sudo does not let us."""
    shell = SudoShell(ctx.cluster.shells.shell(step.node))
    done = await shell.run(["sh", "-c", _SET], deadline_s=DEADLINE_S)
    if done.status != 0:
        said = last_line(done.stderr)
        cause = f"numa_balancing could not be set: {said or f'status {done.status}'}"
        raise CommandFailed(step.node, cause, status=done.status, stderr=said)
    return {"note": PERSIST_HINT}
