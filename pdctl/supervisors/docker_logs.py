"""A container's log as it comes from its node, line by line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager

from pdctl.ssh.ports import Shell
from pdctl.supervisors.bundle import STATE
from pdctl.supervisors.ports import LogLine
from pdctl.supervisors.resumed_log import resumed_log

FOLLOW = (*STATE, "docker_cli_on_node", "docker_follow_on_node")


def container_log(
    shell: Shell, place: Mapping[str, str], *, unit: str, lines: int, follow: bool
) -> AbstractAsyncContextManager[AsyncIterator[LogLine]]:
    """The log of one unit, over restarts and new launches; of a forgotten unit, the log that was kept.

    `place`: state directory and cluster. Raises as `resumed_log` does.
    """
    return resumed_log(shell, FOLLOW, {**place, "unit": unit, "lines": lines, "follow": follow})
