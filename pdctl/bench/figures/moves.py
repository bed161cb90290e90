"""The moves in a cluster's event stream, as scores need them: when each slot changed its role, and the split over time.

Input is what `pdctl events --json`, or a `move`, `watch` or `run` with `--json`, prints: events called `moved`. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pdctl.errors import BenchError
from pdctl.model.role import Role
from pdctl.perf.stations import Moved

Splits = tuple[tuple[float, tuple[int, int]], ...]


@dataclass(frozen=True, slots=True)
class SlotMove:
    """A slot that left one role and came to serve in another. None: a spare, or a pool that is neither prefill nor
    decode. `left`, `served`: Unix time; between them it served nobody."""

    slot: str
    source: Role | None
    target: Role | None
    left: float
    served: float
    in_flight: int | None


def read_moves(lines: Iterable[str], file: str, roles: Mapping[str, Role] | None = None) -> tuple[SlotMove, ...]:
    """The moves that came to their end, in that order. `roles` by pool; a pool that is not in it is known by its name.

    Raises BenchError for a line that is no event; `file` names it.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            if said["event"] == "moved" and said["outcome"] == "moved":
                found.append(_move(said, roles or {}))
        except (ValueError, KeyError, TypeError) as error:
            raise BenchError(
                f"{file}:{number}: no event of pdctl", hint="wanted: what `pdctl events --json` prints, a line each"
            ) from error
    return tuple(sorted(found, key=lambda move: move.served))


def since(moves: Iterable[SlotMove], started: float) -> tuple[Moved, ...]:
    """The moves by seconds from `started` (Unix time), at the moment at which the slot left its old role."""
    return tuple(
        Moved(move.left - started, move.slot, move.target.value if move.target else "spare", move.in_flight)
        for move in moves
    )


def splits(moves: Iterable[SlotMove], start: tuple[int, int], started: float) -> Splits:
    """(prefill, decode) slots over time, from `start` before the first move; a slot on its way counts as neither."""
    steps = sorted(
        step
        for move in moves
        for step in ((move.left - started, 0, _one(move.source, -1)), (move.served - started, 1, _one(move.target, 1)))
    )
    prefill, decode = start
    found = [(float("-inf"), start)]
    for at_s, _, (more_prefill, more_decode) in steps:
        prefill, decode = prefill + more_prefill, decode + more_decode
        found.append((at_s, (prefill, decode)))
    return tuple(found)


def role_of(pool: str, roles: Mapping[str, Role]) -> Role | None:
    """Prefill or decode; None for a spare ("") and for a pool of another kind."""
    known = roles.get(pool)
    if known is not None:
        return known if known is not Role.MIXED else None
    return next((role for role in (Role.PREFILL, Role.DECODE) if role.value in pool), None)


def _move(said: Mapping[str, Any], roles: Mapping[str, Role]) -> SlotMove:
    served = float(said["ts"])
    held = said.get("in_flight_at_fence")
    return SlotMove(
        slot=str(said["slot"]),
        source=role_of(str(said["from_pool"]), roles),
        target=role_of(str(said["to_pool"]), roles),
        left=served - float(said["took_s"]),
        served=served,
        in_flight=None if held is None else int(held),
    )


def _one(role: Role | None, count: int) -> tuple[int, int]:
    return (count if role is Role.PREFILL else 0, count if role is Role.DECODE else 0)
