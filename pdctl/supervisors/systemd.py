"""The `systemd` supervisor: units as transient system services, on nodes where the login is root or may sudo."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from functools import cache
from typing import Any

from pdctl.model.observed import NodeView
from pdctl.model.unit import Relaunch, StopReport, UnitSpec, UnitStatus
from pdctl.ssh.ports import Shell
from pdctl.ssh.program import NodeProgram
from pdctl.supervisors.act import ACTION_DEADLINE_S, STOP_MARGIN_S, act, look_request
from pdctl.supervisors.bundle import LOOK, bundle, node_program
from pdctl.supervisors.ports import LogLine
from pdctl.supervisors.resumed_log import resumed_log
from pdctl.supervisors.systemd_records import systemd_status, systemd_stop_report, systemd_view
from pdctl.supervisors.unit_records import start_request

SYSTEM_ROOT = "/var/lib/pdctl"
FOLLOW = ("systemd_journal_on_node", "systemd_follow_on_node")
"""What prints a unit's journal on its node."""


class SystemdSupervisor:
    """Units of one cluster on one node. `shell` runs its commands as root (`ssh.sudo.SudoShell`, or a root login's).

    `root` is the state directory that holds `<cluster>/`; `stop_budget_s` is the longest `stop_s` of any unit.
    """

    def __init__(self, shell: Shell, cluster: str, *, root: str = SYSTEM_ROOT, stop_budget_s: float) -> None:
        self._shell = shell
        self._place = {"root": root, "cluster": cluster}
        self._cluster = cluster
        self._stop_budget_s = stop_budget_s

    async def inspect(self, *, claim: int | None = None) -> NodeView:
        found = await act(self._shell, systemd_program("inspect"), {**self._place, **look_request(claim)})
        return systemd_view(self._shell.node, self._cluster, found)

    async def take_generations(self, count: int, *, epoch: int) -> int:
        request = {**self._place, "count": count, "epoch": epoch}
        return int((await act(self._shell, systemd_program("take"), request))["first"])

    async def start(self, spec: UnitSpec, *, epoch: int) -> UnitStatus:
        again = {"user": spec.user, "relaunch": relaunch_request(spec.relaunch) if spec.relaunch else None}
        request = {**self._place, **start_request(spec), **again, "epoch": epoch}
        deadline_s = ACTION_DEADLINE_S + 30.0  # systemd's own bound on an exec is longer than a fork's
        facts = await act(
            self._shell, systemd_program("start"), request, deadline_s=deadline_s, subject=spec.labels.instance
        )
        return systemd_status(self._cluster, facts)

    async def stop(self, unit: str, *, epoch: int, now: bool = False) -> StopReport:
        request = {**self._place, "unit": unit, "now": now, "epoch": epoch}
        deadline_s = STOP_MARGIN_S + (0.0 if now else self._stop_budget_s)
        found = await act(self._shell, systemd_program("stop"), request, deadline_s=deadline_s, subject=unit)
        return systemd_stop_report(unit, found)

    async def forget(self, units: Sequence[str], *, epoch: int) -> None:
        if units:
            request = {**self._place, "units": list(units), "epoch": epoch}
            await act(self._shell, systemd_program("forget"), request, subject=units[0])

    def logs(self, unit: str, *, lines: int, follow: bool) -> AbstractAsyncContextManager[AsyncIterator[LogLine]]:
        return resumed_log(self._shell, FOLLOW, {"unit": unit, "lines": lines, "follow": follow})


_LOOK = (*LOOK, "systemd_command_on_node", "systemd_journal_on_node", "systemd_unit_on_node")
_PERSIST = ("preflight_on_node", "launch_on_node", "systemd_persist_on_node")

_FRAGMENTS = {
    "inspect": (*_LOOK, "systemd_look_on_node"),
    "take": (*LOOK, "process_on_node"),
    "forget": (*_LOOK, *_PERSIST, "systemd_stop_on_node"),
    "start": (*_LOOK, *_PERSIST, "systemd_start_on_node"),
    "stop": (*_LOOK, *_PERSIST, "systemd_stop_on_node"),
}
_BOOT = (*_FRAGMENTS["start"], "pdctl.engines.port_rule_on_node", "systemd_boot_on_node")


def relaunch_request(relaunch: Relaunch) -> dict[str, Any]:
    """What a node keeps to start a unit again after a reboot, the program that does it included."""
    return {**asdict(relaunch), "program": boot_program()}


@cache
def boot_program() -> str:
    """The whole of what a boot unit runs."""
    return bundle(*_BOOT) + "\nmain()\n"


@cache
def systemd_program(action: str) -> NodeProgram:
    """The program of one action of this supervisor."""
    return node_program(action, *_FRAGMENTS[action])
