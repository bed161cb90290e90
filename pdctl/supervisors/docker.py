"""The `docker` supervisor: units as labelled containers of docker or podman, on nodes where the login may be root."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache

from pdctl.errors import InstanceError
from pdctl.model.observed import NodeView
from pdctl.model.unit import StopReport, UnitSpec, UnitStatus
from pdctl.ssh.ports import Shell
from pdctl.ssh.program import NodeProgram
from pdctl.supervisors.act import ACTION_DEADLINE_S, STOP_MARGIN_S, act, look_request
from pdctl.supervisors.bundle import LOOK, node_program
from pdctl.supervisors.docker_logs import container_log
from pdctl.supervisors.docker_records import Containers, container_request, container_status, container_view
from pdctl.supervisors.ports import LogLine
from pdctl.supervisors.unit_records import stop_report

RUN_MARGIN_S = 40.0
"""On top of an action: a container engine under load takes its time for a `run`."""


class DockerSupervisor:
    """Units of one cluster on one node. `shell` runs its commands as root (`ssh.sudo.SudoShell`, or a root login's).

    `root` is the state directory that holds `<cluster>/`; `stop_budget_s` is the longest `stop_s` of any unit.
    """

    def __init__(self, shell: Shell, cluster: str, *, root: str, stop_budget_s: float, made_from: Containers) -> None:
        self._shell = shell
        self._cluster = cluster
        self._place = {"root": root, "cluster": cluster}
        self._stop_budget_s = stop_budget_s
        self._made_from = made_from

    async def inspect(self, *, claim: int | None = None) -> NodeView:
        found = await act(self._shell, docker_program("inspect"), {**self._place, **look_request(claim)})
        return container_view(self._shell.node, self._cluster, found)

    async def take_generations(self, count: int, *, epoch: int) -> int:
        request = {**self._place, "count": count, "epoch": epoch}
        return int((await act(self._shell, docker_program("take"), request))["first"])

    async def start(self, spec: UnitSpec, *, epoch: int) -> UnitStatus:
        instance = spec.labels.instance
        if spec.labels.kind not in self._made_from.images:
            raise InstanceError(instance, "no image is given for it", hint="set `image` beside `supervisor: docker`")
        request = {**self._place, **container_request(spec, self._made_from), "epoch": epoch}
        deadline_s = ACTION_DEADLINE_S + RUN_MARGIN_S
        facts = await act(self._shell, docker_program("start"), request, deadline_s=deadline_s, subject=instance)
        return container_status(self._cluster, facts)

    async def stop(self, unit: str, *, epoch: int, now: bool = False) -> StopReport:
        request = {**self._place, "unit": unit, "now": now, "epoch": epoch}
        deadline_s = STOP_MARGIN_S + (0.0 if now else self._stop_budget_s)
        return stop_report(
            unit, await act(self._shell, docker_program("stop"), request, deadline_s=deadline_s, subject=unit)
        )

    async def forget(self, units: Sequence[str], *, epoch: int) -> None:
        if units:
            request = {**self._place, "units": list(units), "epoch": epoch}
            deadline_s = ACTION_DEADLINE_S + RUN_MARGIN_S
            await act(self._shell, docker_program("forget"), request, deadline_s=deadline_s, subject=units[0])

    def logs(self, unit: str, *, lines: int, follow: bool) -> AbstractAsyncContextManager[AsyncIterator[LogLine]]:
        return container_log(self._shell, self._place, unit=unit, lines=lines, follow=follow)


_LOOK = (*LOOK, "docker_cli_on_node", "docker_unit_on_node")

_FRAGMENTS = {
    "inspect": (*_LOOK, "docker_on_node"),
    "take": (*_LOOK, "docker_on_node"),
    "forget": (*_LOOK, "docker_on_node"),
    "start": (
        *_LOOK,
        "preflight_on_node",
        "launch_on_node",
        "docker_command_on_node",
        "docker_host_on_node",
        "docker_start_on_node",
    ),
    "stop": (*_LOOK, "docker_stop_on_node"),
}


@cache
def docker_program(action: str) -> NodeProgram:
    """The program of one action of this supervisor."""
    return node_program(action, *_FRAGMENTS[action])
