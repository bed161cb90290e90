"""Whether a server still answers once the last requests of a point did not come through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pdctl.bench.point import Target
from pdctl.bench.reach import prove
from pdctl.bench.row import Row
from pdctl.bench.runs.events import BenchTold
from pdctl.bench.runs.runner import Listener, Quiet, Silence
from pdctl.bench.runs.stretch import Stop
from pdctl.control.clock import Clock
from pdctl.errors import PdctlError
from pdctl.model.outcome import Outcome

WAIT_S = 30.0
"""A router that restarts is back by then."""
_EACH_S, _PAUSE_S = 5.0, 1.0
_LAST = 3


async def silence(
    target: Target, clock: Clock, stop: Callable[[], bool], tell: Callable[[str], None], *, wait_s: float = WAIT_S
) -> str:
    """Why `target` answers nothing, although it was asked again and again for `wait_s`; "" once one small request
    comes whole. `stop`: ask no more. `tell` is told once that it is waited for."""
    until_s = clock.monotonic() + wait_s
    told = False
    while True:
        try:
            await prove(target, deadline_s=min(_EACH_S, wait_s))
        except PdctlError as error:
            if stop() or clock.monotonic() + _PAUSE_S > until_s:
                return error.message
            if not told:
                tell(f"no answer ({error.message}): asking again for up to {wait_s:g} s")
                told = True
        else:
            return ""
        await clock.sleep(_PAUSE_S)


def silence_of(targets: Mapping[str, Target], clock: Clock, stop: Stop, emit: Listener) -> Silence:
    """What a `Player` asks, of `targets` by deployment as they are reached from here."""

    def tell(text: str) -> None:
        emit(BenchTold(text))

    async def ask(deployment: str, rows: Sequence[Row], more: bool) -> Quiet | None:
        last = sorted(rows, key=lambda row: row.sent_s)[-_LAST:]
        if not last or any(row.ok for row in last):
            return None
        heard = any(row.status is not None and row.outcome is not Outcome.CUT for row in last)
        if heard and not more:
            return None
        cause = await silence(targets[deployment], clock, stop.asked.is_set, tell)
        return Quiet(cause, heard) if cause else None

    return ask
