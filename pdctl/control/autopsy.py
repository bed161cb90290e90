"""Why an engine ended: what its exit status does not tell, from the end of its log.

vLLM 0.32 that lost a worker exits with status 0, and names the cause some 330 lines before its log's end: a dump of
its state, a traceback and what Python's libraries print at their end come after it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pdctl.engines.probes import failure_cause, without_noise
from pdctl.errors import PdctlError
from pdctl.model.unit import ExitEvidence, UnitStatus
from pdctl.supervisors.ports import Supervisor

LINES_READ = 600
LINES_SHOWN = 20
DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Autopsy:
    """`why` is one line, `last_lines` are the last ones of the log that say anything."""

    why: str
    last_lines: tuple[str, ...]


async def autopsy(supervisor: Supervisor, unit: UnitStatus, ended: ExitEvidence, *, when: str = "") -> Autopsy:
    """Of a unit that ended without being asked to. Where its log cannot be read, the evidence has to do.
    `when` goes after the exit status.

    A signal came from outside: then only the very last lines are looked at, as older errors explain something else.
    """
    kept = ended.last_lines
    if ended.signal is None:
        kept = await _tail(supervisor, unit.labels.unit) or kept
    telling = failure_cause(kept)
    shown = tuple(without_noise(kept))[-LINES_SHOWN:]
    if telling is None and ended.signal is None:
        telling = next((line.strip() for line in reversed(shown) if line.strip()), None)
    swept = f", {ended.leftovers} leftover processes swept" if ended.leftovers else ""
    cause = f"{ended.cause}{when and ' '}{when}{swept}"
    return Autopsy(f"{cause}: {telling}" if telling else cause, shown)


async def _tail(supervisor: Supervisor, unit: str) -> tuple[str, ...]:
    found: list[str] = []
    try:
        async with asyncio.timeout(DEADLINE_S), supervisor.logs(unit, lines=LINES_READ, follow=False) as lines:
            async for line in lines:
                found.append(line.text)  # noqa: PERF401
    except (PdctlError, TimeoutError):
        return ()
    return tuple(found)
