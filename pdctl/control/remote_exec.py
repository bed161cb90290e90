"""`exec`: one command on many nodes at once. A lost node is never a success."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from pdctl.errors import NodeError
from pdctl.ssh.ports import Shells
from pdctl.ssh.text import printable

MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What one node answered. `status` None: it did not run to its end as far as we know, and `trouble` says why."""

    node: str
    status: int | None
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False
    trouble: str = ""
    hint: str = ""
    exit_code: int = 0


async def remote_exec(
    shells: Shells, nodes: Sequence[str], argv: Sequence[str], *, deadline_s: float
) -> AsyncIterator[ExecResult]:
    """Results in the order of arrival; every node's failure is its own."""
    tasks = [asyncio.create_task(_one(shells, node, argv, deadline_s)) for node in nodes]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _one(shells: Shells, node: str, argv: Sequence[str], deadline_s: float) -> ExecResult:
    try:
        ran = await shells.shell(node).run(argv, deadline_s=deadline_s, max_bytes=MAX_BYTES)
    except NodeError as error:
        return ExecResult(node, None, trouble=error.cause, hint=error.hint, exit_code=error.exit_code)
    return ExecResult(
        node,
        ran.status,
        printable(ran.stdout),
        printable(ran.stderr),
        ran.truncated,
        exit_code=0 if ran.status == 0 else 1,
    )


def exit_code(results: Sequence[ExecResult]) -> int:
    """0 all succeeded, 4 only unreachable nodes failed, 3 some succeeded, 1 none did."""
    failed = [result.exit_code for result in results if result.exit_code]
    if not failed:
        return 0
    if set(failed) == {4}:
        return 4
    return 3 if len(failed) < len(results) else 1
