"""The cluster's record on the lease node, read without a lease: journal, last applied inventory, holds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pdctl.control.cluster import Cluster
from pdctl.control.hold_record import HoldRecord, parse_holds
from pdctl.control.lease import Applied, parse_applied, state_root
from pdctl.errors import NodeError
from pdctl.model.hold import Holds
from pdctl.ssh.program import NodeProgram, run_program

DEADLINE_S = 30.0
FOLLOW_S = 2.0
FOLLOW_LINES = 2000
"""More than is written between two looks."""


@dataclass(frozen=True, slots=True)
class Record:
    """What lies on the lease node: journal entries, oldest first, the last applied inventory if there is one, holds.

    `damaged` counts lines of the journal that are no entries: what they told is not known. `running`: the command that
    has the lease now, "" where none has or that cannot be told.
    """

    entries: tuple[dict[str, Any], ...]
    applied: Applied | None
    damaged: int = 0
    holds: HoldRecord = field(default_factory=HoldRecord)
    running: str = ""


async def record(cluster: Cluster, lines: int) -> Record:
    """The last `lines` of the journal, what was last applied, and what is held.

    Raises NodeError's kinds where the lease node cannot be asked.
    """
    deployment = cluster.deployment
    payload = {"root": state_root(deployment), "cluster": deployment.cluster, "lines": lines}
    program = NodeProgram.packaged("pdctl.control", "record_on_node.py")
    answer = await run_program(cluster.lease_shell, program, payload, deadline_s=DEADLINE_S)
    found = [_entry(line) for line in answer["lines"]]
    entries = tuple(entry for entry in found if entry is not None)
    applied = None if answer["applied"] is None else parse_applied(_entry(answer["applied"]) or {})
    holds = parse_holds(None if answer["holds"] is None else _entry(answer["holds"]) or {})
    holder = (_entry(answer["lease"] or "") or {}).get("holder")
    running = str(holder.get("command", "")) if isinstance(holder, dict) else ""
    return Record(entries, applied, damaged=len(found) - len(entries), holds=holds, running=running)


async def running_command(cluster: Cluster) -> str:
    """The command that changes the cluster now, by whomever; "" where there is none, or the lease node is silent."""
    try:
        return (await record(cluster, 0)).running
    except NodeError:
        return ""


async def read_holds(cluster: Cluster) -> Holds:
    """What is held now. Where the lease node cannot be asked that is not known, and the reason is in it."""
    try:
        found = (await record(cluster, 0)).holds
    except NodeError as error:
        found = HoldRecord(trouble=f"the lease node cannot be asked: {error.message}")
    return found.at(cluster.clock.time())


async def followed(
    cluster: Cluster, last: dict[str, Any] | None, stop: asyncio.Event, every_s: float = FOLLOW_S
) -> AsyncIterator[list[dict[str, Any]]]:
    """What is added to the journal after the entry `last`, until `stop` is set; over a rotation too.

    While the lease node cannot be asked nothing comes; what was written meanwhile does when it can be.
    """
    while not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(every_s):
                await stop.wait()
        if stop.is_set():
            return
        try:
            entries = (await record(cluster, FOLLOW_LINES)).entries
        except NodeError:
            continue
        fresh = added(entries, last)
        if fresh:
            last = fresh[-1]
            yield fresh


def added(entries: Sequence[dict[str, Any]], last: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The entries after `last`; all of them where it is not among them."""
    for place in range(len(entries) - 1, -1, -1):
        if entries[place] == last:
            return list(entries[place + 1 :])
    return list(entries)


def unfinished(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps that a run began and never ended: its controller died there. Their effect may or may not have happened."""
    ended = {"step_done", "step_failed", "step_skipped"}
    open_steps: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries:
        key = (str(entry.get("run")), str(entry.get("step")))
        if entry.get("event") == "step_started":
            open_steps[key] = entry
        elif entry.get("event") in ended:
            open_steps.pop(key, None)
    return list(open_steps.values())


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
