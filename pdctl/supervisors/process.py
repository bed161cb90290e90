"""The `process` supervisor: units as plain processes, each with a keeper, where there is no systemd and no docker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any

from pdctl.model.observed import NodeView
from pdctl.model.unit import StopReport, UnitSpec, UnitStatus
from pdctl.ssh.ports import Shell
from pdctl.ssh.program import NodeProgram
from pdctl.supervisors.act import ACTION_DEADLINE_S, STOP_MARGIN_S, act, look_request
from pdctl.supervisors.bundle import LOOK, node_program
from pdctl.supervisors.ports import LogLine
from pdctl.supervisors.unit_logs import unit_log
from pdctl.supervisors.unit_records import node_view, start_request, stop_report, unit_status


class ProcessSupervisor:
    """Units of one cluster on one node. `root` is the state directory that holds `<cluster>/`; None: the login's own
    (`$XDG_STATE_HOME/pdctl` or `~/.local/state/pdctl`). `stop_budget_s` is the longest `stop_s` of any unit.
    """

    def __init__(self, shell: Shell, cluster: str, *, root: str | None, stop_budget_s: float) -> None:
        self._shell = shell
        self._cluster = cluster
        self._root = root
        self._stop_budget_s = stop_budget_s

    async def inspect(self, *, claim: int | None = None) -> NodeView:
        found = await self._ask(process_program("inspect"), look_request(claim))
        return node_view(self._shell.node, self._cluster, found)

    async def take_generations(self, count: int, *, epoch: int) -> int:
        taken = await self._ask(process_program("take"), {"count": count, "epoch": epoch})
        return int(taken["first"])

    async def start(self, spec: UnitSpec, *, epoch: int) -> UnitStatus:
        request = {**start_request(spec), "epoch": epoch}
        facts = await self._ask(process_program("start"), request, subject=spec.labels.instance)
        return unit_status(self._cluster, facts)

    async def stop(self, unit: str, *, epoch: int, now: bool = False) -> StopReport:
        deadline_s = STOP_MARGIN_S + (0.0 if now else self._stop_budget_s)
        request = {"unit": unit, "now": now, "epoch": epoch}
        return stop_report(unit, await self._ask(process_program("stop"), request, deadline_s=deadline_s, subject=unit))

    async def forget(self, units: Sequence[str], *, epoch: int) -> None:
        if units:
            await self._ask(process_program("forget"), {"units": list(units), "epoch": epoch}, subject=units[0])

    def logs(self, unit: str, *, lines: int, follow: bool) -> AbstractAsyncContextManager[AsyncIterator[LogLine]]:
        return unit_log(self._shell, root=self._root, cluster=self._cluster, unit=unit, lines=lines, follow=follow)

    async def _ask(
        self,
        program: NodeProgram,
        request: Mapping[str, Any],
        *,
        deadline_s: float = ACTION_DEADLINE_S,
        subject: str | None = None,
    ) -> dict[str, Any]:
        """One exec; see `act`."""
        payload = {**request, "root": self._root, "cluster": self._cluster}
        return await act(self._shell, program, payload, deadline_s=deadline_s, subject=subject)


_FRAGMENTS = {
    "inspect": (*LOOK, "process_on_node"),
    "take": (*LOOK, "process_on_node"),
    "forget": (*LOOK, "process_on_node"),
    "start": (*LOOK, "preflight_on_node", "launch_on_node", "keeper_on_node", "start_on_node"),
    "stop": (*LOOK, "stop_on_node"),
}


@cache
def process_program(action: str) -> NodeProgram:
    """The program of one action of this supervisor."""
    return node_program(action, *_FRAGMENTS[action])
