"""A report for spreadsheets and scripts: figures of every point, and its requests, each with where it is from. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from pdctl.bench.reports.entry import Entry, Report
from pdctl.bench.reports.request import Request, Verdict
from pdctl.bench.reports.seed_table import seed_document
from pdctl.bench.runs.figure_files import flat
from pdctl.model.events import plain


def as_document(report: Report) -> dict[str, Any]:
    """JSON-able. `attainment` is by the report's targets, which need not be those of the run."""
    return {
        "slo": {
            "ttft_s": report.slo.ttft_s,
            "itl_s": report.slo.itl_s,
            "criterion": report.criterion.value,
            "attainment": report.slo.attainment,
        },
        "runs": {where: plain(meta) for where, meta in report.meta.items()},
        "points": [_document(report, entry) for entry in report.entries],
        "seeds": seed_document(report),
        "unmeasured": list(report.unmeasured),
    }


def _document(report: Report, entry: Entry) -> dict[str, Any]:
    told = [each.verdict(report.slo, report.criterion) for each in entry.requests]
    return {
        "point": entry.id,
        "deployment": entry.deployment,
        "scenario": entry.scenario,
        "load": entry.note.load,
        "seed": entry.seed,
        "verdicts": {kind.value: told.count(kind) for kind in Verdict},
        "attainment": told.count(Verdict.MET) / len(told) if told else 0.0,
        "figures": plain(entry.figures),
        "rows": {"path": entry.origin.path, "sha256": entry.origin.sha256, "count": len(entry.requests)},
    }


def figures_csv(report: Report) -> str:
    """A line a point: the columns of the run's own figures.csv, the attainment by the report's targets, and the file of
    rows with its digest."""
    lines = []
    for entry in report.entries:
        told = [each.verdict(report.slo, report.criterion) for each in entry.requests]
        judged = {kind.value: told.count(kind) for kind in Verdict}
        lines.append(
            {
                **flat(entry.note, entry.figures),
                "deployment": entry.deployment,
                **{f"report_{name}": count for name, count in judged.items()},
                "report_attainment": round(judged["met"] / len(told), 6) if told else 0.0,
                "rows_file": entry.origin.path,
                "rows_sha256": entry.origin.sha256,
            }
        )
    return _csv(lines)


def requests_csv(report: Report) -> str:
    """A line a request, with the line of the file that it is from."""
    return _csv(_request(report, entry, each) for entry in report.entries for each in entry.requests)


def _request(report: Report, entry: Entry, each: Request) -> Mapping[str, Any]:
    return {
        "deployment": entry.deployment,
        "point": entry.id,
        "request": each.index,
        "verdict": each.verdict(report.slo, report.criterion).value,
        "outcome": each.outcome.value,
        "ttft_s": each.ttft_s,
        "own_itl_p99_s": each.itl_s,
        "tpot_s": each.tpot_s,
        "tokens": each.tokens,
        "error": each.error,
        "rows_file": entry.origin.path,
        "line": each.line,
    }


def _csv(lines: Iterable[Mapping[str, Any]]) -> str:
    """With a head line. A cell that a spreadsheet would take for a formula gets a quote in front."""
    out = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for line in lines:
        if writer is None:
            writer = csv.DictWriter(out, fieldnames=list(line), lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: _harmless(value) for name, value in line.items()})
    return out.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
