"""What the page's own script works on: every request of every point, and the stops of its sliders. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pdctl.bench.figures.figures import Figures
from pdctl.bench.figures.spread import Spread
from pdctl.bench.reports.entry import Entry, Report
from pdctl.bench.reports.request import Request

_MANTISSAS = (1, 1.2, 1.5, 1.8, 2, 2.2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9)


def page_data(report: Report) -> str:
    """One JSON document that may stand in a `<script>`: nothing in it can end that, whatever remote text it holds."""
    points = [_point(entry, place) for place, group in enumerate(report.groups) for entry in group]
    document = {
        "deployments": report.deployments,
        "scenarios": report.scenarios,
        "points": points,
        "steps": {"ttft": ttft_steps(report), "itl": itl_steps(report)},
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def ttft_steps(report: Report) -> list[float]:
    """The TTFT slider's stops in seconds, the run's own target among them."""
    return _steps(-2, 2, report.slo.ttft_s)


def itl_steps(report: Report) -> list[float]:
    """The ITL slider's stops."""
    return _steps(-3, 1, report.slo.itl_s)


def _steps(low: int, high: int, target: float) -> list[float]:
    """Round values of every decade from 10^low on, as Python and JavaScript both read them."""
    values = {float(f"{mantissa}e{decade}") for decade in range(low, high) for mantissa in _MANTISSAS}
    return sorted({*values, float(f"1e{high}"), target})


def _point(entry: Entry, place: int) -> dict[str, Any]:
    """`place` is the same for all seeds of a point."""
    requests = entry.requests
    return {
        "id": entry.id,
        "place": place,
        "deployment": entry.deployment,
        "scenario": entry.scenario,
        "load": entry.load.name,
        "concurrency": entry.load.concurrency,
        "rate": entry.load.rate_per_s,
        "times": entry.load.times,
        "seed": entry.seed,
        "duration": entry.figures.duration_s,
        "figures": _figures(entry.figures),
        "rows": entry.origin.path,
        **_columns(requests),
        "errors": {number: each.error for number, each in enumerate(requests) if each.error},
    }


def _columns(requests: Sequence[Request]) -> dict[str, list[Any]]:
    """Unrounded: a request must not come to meet a target by the way it is written."""
    return {
        "ok": [0 if each.outcome.failed else 1 for each in requests],
        "ttft": [each.ttft_s for each in requests],
        "itl": [each.itl_s for each in requests],
        "tpot": [each.tpot_s for each in requests],
        "index": [each.index for each in requests],
        "line": [each.line for each in requests],
    }


def _figures(figures: Figures) -> dict[str, float | None]:
    def of(spread: Spread | None, name: str) -> float | None:
        return None if spread is None else float(getattr(spread, name))

    return {
        "e2el_median": of(figures.e2el, "median_s"),
        "ttft_median": of(figures.ttft, "median_s"),
        "ttft_p99": of(figures.ttft, "p99_s"),
        "tpot_median": of(figures.tpot, "median_s"),
        "itl_p99": of(figures.itl, "p99_s"),
        "tps_total": figures.tps_total,
        "tpsu": figures.tpsu,
        "tpsg": figures.tpsg,
    }
