"""What the cluster is asked for, and how it does, over the last minutes before the snapshot that is shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pdctl.advisor.observed import Observed, observed
from pdctl.model.figure import Fig, Figure
from pdctl.model.role import Role
from pdctl.model.snapshot import WINDOWS_S, PoolFigures, Snapshot
from pdctl.text.advice import HEADS
from pdctl.tui.brief import brief_amount, brief_seconds, brief_share
from pdctl.tui.history import History

WINDOW_S: Final = WINDOWS_S[-1]
STEP_S: Final = 5
_REQUESTS: Final = ("router", "", "requests")


def ticks(history: History, snapshot: Snapshot) -> tuple[Snapshot, ...]:
    """The snapshot, and before it those of the last minutes as far as `observed` reads them: what the router counted.
    Screens keep figures, not snapshots; a recording fills them for the time that is shown."""
    rates = history.series(_REQUESTS, WINDOW_S // STEP_S, STEP_S)
    return (
        *(
            replace(snapshot, router=replace(snapshot.router, requests=Figure.exact(rate, 0.0)))
            for rate in rates
            if rate is not None
        ),
        snapshot,
    )


def traffic_of(history: History, snapshot: Snapshot) -> Observed:
    """Raises TooThin, with all that is missing."""
    return observed(ticks(history, snapshot), WINDOW_S)


def measured_cells(snapshot: Snapshot) -> tuple[str, ...]:
    """The live figures in the columns of a ranking, over the same minutes."""
    client = snapshot.client.get(WINDOW_S)
    if client is None:
        return ("measured", *["?"] * (len(HEADS) - 1))
    pools = tuple(snapshot.pools.values())
    served = _total(pools, (Role.DECODE, Role.MIXED), "requests")
    both = client.attainment.both
    good = served * both.middle if served is not None and isinstance(both, Figure) else None
    read, wrote = (
        _total(pools, (Role.PREFILL, Role.MIXED), "tokens_in"),
        _total(pools, (Role.DECODE, Role.MIXED), "tokens_out"),
    )
    return (
        "measured",
        brief_share(both),
        "?" if good is None else f"{good:.3g}",
        brief_seconds(client.ttft.p50),
        brief_seconds(client.ttft.p99),
        brief_seconds(client.itl.p99),
        brief_seconds(client.e2e.p50),
        "?" if read is None or wrote is None else brief_amount(Figure.exact(read + wrote, 0.0)),
    )


def _total(pools: Sequence[PoolFigures], roles: Sequence[Role], name: str) -> float | None:
    """Over the pools of those roles that have engines; None where one of them is not known."""
    total = 0.0
    for pool in pools:
        if pool.role in roles and pool.instances:
            figure: Fig = getattr(pool.windows[WINDOW_S].flow, name)
            if not isinstance(figure, Figure):
                return None
            total += figure.middle
    return total
