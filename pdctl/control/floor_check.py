"""Measures performance floors on the GPUs that nothing of ours uses. Takes them for some seconds; nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pdctl.errors import NodeError
from pdctl.health.expectations import Expectations
from pdctl.health.floors import (
    RUN_S,
    NodeSpeed,
    allreduce_argv,
    container_name,
    floor_argv,
    program,
    speeds,
)
from pdctl.health.parse.fabric_tests import rccl_bus_bandwidth
from pdctl.model.reading import Reading, Unknown
from pdctl.model.role import SupervisorKind
from pdctl.ssh.ports import Completed, Shell, Shells
from pdctl.ssh.sudo import SudoShell
from pdctl.ssh.text import last_line, printable

_NOT_FOUND = 127
_REMOVE_S = 20.0


@dataclass(frozen=True, slots=True)
class FloorRun:
    """What measuring on many nodes needs."""

    shells: Shells
    run_s: float = RUN_S

    async def measure(self, expected: Mapping[str, Expectations]) -> Mapping[str, NodeSpeed]:
        """Figures of every node that has idle GPUs in scope, all nodes at once. What fails is unknown."""
        idle = {name: each.idle_gpus for name, each in expected.items() if each.idle_gpus}
        found = await asyncio.gather(*(self._node(expected[name], gpus) for name, gpus in idle.items()))
        return dict(zip(idle, found, strict=True))

    async def _node(self, expected: Expectations, gpus: Sequence[int]) -> NodeSpeed:
        ran = await self._torch(expected, gpus)
        if isinstance(ran, Unknown):
            return NodeSpeed(speeds("", gpus, why=ran.reason))
        why = last_line(ran.stderr) or f"it ended with status {ran.status}"
        figures = speeds(printable(ran.stdout), gpus, why=why)
        return NodeSpeed(figures, await self._allreduce(expected.node, gpus) if len(gpus) > 1 else None)

    async def _torch(self, expected: Expectations, gpus: Sequence[int]) -> Completed | Unknown:
        argv, shell = floor_argv(expected, gpus), self.shells.shell(expected.node)
        if expected.supervisor is not SupervisorKind.DOCKER:
            return await _run(shell, argv, self.run_s, program().encode())
        root = SudoShell(shell)
        try:
            return await _run(root, argv, self.run_s, program().encode())
        finally:  # a client that was killed leaves its container behind
            await _run(root, ("docker", "rm", "-f", container_name(expected)), _REMOVE_S)

    async def _allreduce(self, node: str, gpus: Sequence[int]) -> Reading[float]:
        ran = await _run(self.shells.shell(node), allreduce_argv(gpus), self.run_s)
        if isinstance(ran, Unknown):
            return ran
        if ran.status == _NOT_FOUND:
            return Unknown("all_reduce_perf of rccl-tests is not on the login's PATH", "rccl-tests")
        if ran.status:
            return Unknown(last_line(ran.stderr) or f"it ended with status {ran.status}", "rccl-tests")
        return rccl_bus_bandwidth(printable(ran.stdout))


async def _run(shell: Shell, argv: Sequence[str], deadline_s: float, stdin: bytes = b"") -> Completed | Unknown:
    try:
        return await shell.run(argv, deadline_s=deadline_s, stdin=stdin)
    except NodeError as error:
        return Unknown(str(error))
