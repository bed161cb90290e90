"""`figures.csv` and `figures.json`: one row a measured point, for spreadsheets and scripts. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pdctl.bench.figures.figures import Figures
from pdctl.bench.runs.definition import PointNote
from pdctl.bench.runs.meta import SCHEMA
from pdctl.model.events import plain

_SPREADS = ("ttft", "itl", "tpot", "e2el", "queued")
_QUANTILES = ("mean_s", "median_s", "p90_s", "p99_s", "std_s")
_PLAIN = (
    "requests_per_s",
    "tokens_in",
    "tokens_out",
    "tps_in",
    "tps_out",
    "tps_total",
    "in_flight_mean",
    "in_flight_peak",
    "tpsu",
    "tpsg",
    "tokens_per_usd",
)
_COUNTS = ("ok", "aborted", "error", "cut", "refused")
_GOODPUT = ("met", "offered", "attainment", "requests_per_s", "tokens_per_s")


def flat(note: PointNote, figures: Figures) -> dict[str, Any]:
    """One line of the table. Names carry their units: `ttft_median_s`; None where there is no figure."""
    line: dict[str, Any] = {
        "point": note.id,
        "deployment": note.deployment,
        "scenario": note.scenario,
        "load": note.load,
        "seed": note.seed,
        "requests": note.requests,
        "duration_s": figures.duration_s,
    }
    line |= {name: getattr(figures.counts, name) for name in _COUNTS}
    line |= {name: getattr(figures, name) for name in _PLAIN}
    for name in _SPREADS:
        spread = getattr(figures, name)
        for quantile in _QUANTILES:
            line[f"{name}_{quantile}"] = None if spread is None else getattr(spread, quantile)
    goodput = figures.goodput
    line |= {f"goodput_{name}": None if goodput is None else getattr(goodput, name) for name in _GOODPUT}
    line["warnings"] = "; ".join(figures.warnings)
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in line.items()}


def as_csv(measured: Sequence[tuple[PointNote, Figures]]) -> str:
    """With a head line; empty cells where there is no figure."""
    lines = [flat(note, figures) for note, figures in measured]
    if not lines:
        return ""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def as_json(measured: Sequence[tuple[PointNote, Figures]]) -> str:
    """`{"schema", "points": [{"point", …, "figures": {…}}]}`, figures nested as in done.json."""
    points = [_entry(note, figures) for note, figures in measured]
    return json.dumps({"schema": SCHEMA, "points": points}, indent=1) + "\n"


def _entry(note: PointNote, figures: Figures) -> Mapping[str, Any]:
    said: dict[str, Any] = plain(note)
    return {"point": said.pop("id"), **said, "figures": plain(figures)}
