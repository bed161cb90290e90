"""Scores as lines of text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pdctl.bench.figures.score import Verdict
from pdctl.bench.reports.scores import Goodputs, ScoredPoint
from pdctl.perf.stations import Following

_MISSES = tuple(each for each in Verdict if each is not Verdict.MET)


def lines(scored: Sequence[ScoredPoint], goods: Sequence[Goodputs], target: float) -> Iterator[RenderableType]:
    """A table of points, then goodput, then how the moves went."""
    table = Table(box=None, pad_edge=False)
    for head in ("point", "offered", "met", "attainment", "of served"):
        table.add_column(head, justify="left" if head == "point" else "right", no_wrap=head != "point", overflow="fold")
    for miss in _MISSES:
        table.add_column(miss.value, justify="right", no_wrap=True)
    for each in scored:
        score = each.score
        table.add_row(
            each.note.id,
            str(score.offered),
            str(score.met),
            f"{score.attainment:.1%}",
            f"{score.served_attainment:.1%}",
            *(str(score.verdicts.get(miss, 0)) for miss in _MISSES),
        )
    yield table
    for good in goods:
        rates = ", ".join(f"{rate:g}: {share:.1%}" for rate, share in good.attainments.items())
        at = "no rate" if good.rate is None else f"{good.rate:g} req/s"
        yield Text(f"{good.deployment} {good.scenario}: goodput at {target:.0%}: {at}   ({rates})")
    for each in scored:
        if each.following is not None:
            yield from (Text(line) for line in _followed(each.note.id, each.following))


def _followed(name: str, seen: Following) -> Iterator[str]:
    held = "not known" if seen.in_flight is None else str(seen.in_flight)
    yield (
        f"{name}: {seen.moves} moves with {held} requests in flight, {seen.reversals} reversals"
        f" ({seen.reversals_per_hour:.1f} an hour)"
    )
    if not seen.stays:
        return
    settled = "never" if seen.settled_s is None else f"{seen.settled_s:.0f} s (median)"
    yield f"  on the right split {seen.on_station:.0%} of the time; settled {settled}; never: {seen.never} phases"
    for place, stay in enumerate(seen.stays):
        after = "never" if stay.settled_s is None else f"{stay.settled_s:.0f} s"
        split = f"{stay.station.prefill}P{stay.station.decode}D"
        yield f"  phase {place} {split}: settled {after}, on station {stay.on_station:.0%}"


def as_json(scored: Sequence[ScoredPoint], goods: Sequence[Goodputs], target: float) -> dict[str, Any]:
    """Everything that the text says, by name."""
    return {
        "target": target,
        "points": [
            {
                "point": each.note.id,
                "rate": each.rate,
                "offered": each.score.offered,
                "met": each.score.met,
                "attainment": each.score.attainment,
                "served_attainment": each.score.served_attainment,
                "verdicts": {kind.value: each.score.verdicts.get(kind, 0) for kind in Verdict},
                "following": None if each.following is None else _following(each.following),
            }
            for each in scored
        ],
        "goodput": [
            {
                "deployment": good.deployment,
                "scenario": good.scenario,
                "rate": good.rate,
                "attainments": [{"rate": rate, "attainment": share} for rate, share in good.attainments.items()],
            }
            for good in goods
        ],
    }


def _following(seen: Following) -> dict[str, Any]:
    return {
        "moves": seen.moves,
        "reversals": seen.reversals,
        "reversals_per_hour": seen.reversals_per_hour,
        "in_flight_at_moves": seen.in_flight,
        "on_station": seen.on_station if seen.stays else None,
        "settled_s": seen.settled_s,
        "phases_never_reached": seen.never,
        "phases": [
            {
                "begin_s": stay.station.begin_s,
                "end_s": stay.station.end_s,
                "split": f"{stay.station.prefill}P{stay.station.decode}D",
                "settled_s": stay.settled_s,
                "on_station": stay.on_station,
            }
            for stay in seen.stays
        ],
    }
