"""Reports of runs: every request is judged as the figures judge it, and leads back to its line."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.figures.verdict import met
from pdctl.bench.reports.entry import Load
from pdctl.bench.reports.export import as_document, figures_csv, requests_csv
from pdctl.bench.reports.page import html_page
from pdctl.bench.reports.plot import Axis, Room, Series, chart
from pdctl.bench.reports.reading import read_report
from pdctl.bench.reports.request import Verdict, requests
from pdctl.bench.reports.summary import best_rate, summaries
from pdctl.bench.reports.terminal import Part, report_lines
from pdctl.errors import BenchError
from pdctl.model.deployment import Slo
from tests.bench_report import SLO, good, mixed_rows, run_directory

NASTY = "</script><script>alert(1)</script>\x1b[2J<img src=x onerror=alert(2)>"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two deployments at two rates; the second misses in every way at the higher one."""
    return run_directory(
        tmp_path / "run",
        {
            ("steady", "r1", 0): [good(n) for n in range(6)],
            ("steady", "r2", 0): [good(n) for n in range(6)],
            ("shaky", "r1", 0): [good(n) for n in range(6)],
            ("shaky", "r2", 0): list(reversed(mixed_rows(NASTY))),
        },
    )


def test_every_request_is_judged_as_the_figures_count_it() -> None:
    rows = mixed_rows()
    wanted = [Verdict.MET, Verdict.TTFT, Verdict.ITL, Verdict.BOTH, Verdict.FAILED, Verdict.TTFT]
    assert [each.verdict(SLO, Criterion.P99_ITL) for each in requests(rows)] == wanted
    for criterion in Criterion:
        for slo in (SLO, Slo(0.2, 0.02, 0.9), Slo(0.1, 0.01, 0.9), Slo(2.0, 0.1, 0.9), Slo(2.0, 1.0, 0.9)):
            told = [each.verdict(slo, criterion) is Verdict.MET for each in requests(rows)]
            assert told == [met(each, slo, criterion) for each in rows]


def test_a_request_leads_back_to_its_line(run: Path) -> None:
    report = read_report([run])
    lines = list(csv.DictReader(io.StringIO(requests_csv(report))))
    assert len(lines) == 24
    for line in lines:
        raw = json.loads(Path(line["rows_file"]).read_text().splitlines()[int(line["line"]) - 1])
        assert raw["index"] == int(line["request"])
    points = list(csv.DictReader(io.StringIO(figures_csv(report))))
    shaky = next(each for each in points if each["point"] == "shaky/mori/r2/s0")
    assert (shaky["report_met"], shaky["report_failed"], shaky["report_attainment"]) == ("1", "1", "0.166667")


def test_the_goodput_of_a_deployment_is_the_highest_rate_that_it_carries(run: Path) -> None:
    report = read_report([run])
    told = {name: [each for each in summaries(report) if each.deployment == name] for name in report.deployments}
    found = {name: best_rate(points, 0.9) for name, points in told.items()}
    assert {name: point.load.name if point else None for name, point in found.items()} == {
        "steady": "r2",
        "shaky": "r1",
    }
    document = as_document(report)
    assert [each["attainment"] for each in document["points"]] == [1.0, 1.0, 1.0, 1 / 6]


def test_other_targets_judge_anew(run: Path) -> None:
    report = read_report([run]).judged_by(Slo(0.1, 0.05, 0.9))
    assert {each.attainment for each in summaries(report)} == {0.0}


@pytest.mark.parametrize("columns", [80, 132])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_the_terminal_report_fits_and_needs_no_colour(run: Path, columns: int, ascii_only: bool) -> None:
    console = Console(width=columns, no_color=True, file=io.StringIO(), force_terminal=True)
    lines = report_lines(read_report([run]), list(Part), Room(columns, 10, ascii_only))
    for line in lines:
        console.print(line, soft_wrap=True)
    text = "\n".join(line.plain for line in lines)
    assert all(len(line.plain) <= columns for line in lines if not line.plain.startswith("?"))
    assert "1 of 6 met, 2 TTFT missed, 1 ITL missed, 1 both missed, 1 failed" in text
    assert ("#TiBxT" if ascii_only else "█▲≈◆×▲") in text
    assert not ascii_only or text.isascii()
    assert "\x1b[2J" not in text


def test_a_chart_puts_the_highest_value_on_top() -> None:
    lines = chart("t", [Series("a", ((1.0, 0.0), (2.0, 10.0)))], Axis("x", str), Axis("y", str, low=0.0), Room(40, 8))
    marks = [line.plain.index("●") for line in lines[:-1] if "●" in line.plain]
    assert len(marks) == 2
    assert marks[0] > marks[1]


class Page(HTMLParser):
    """What of a page could reach out, or be run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.reaches: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.reaches += [f"{name}={value}" for name, value in attrs if name in ("src", "href") or name.startswith("on")]


def test_the_page_loads_nothing_and_runs_nothing_remote(tmp_path: Path) -> None:
    path = run_directory(tmp_path / "run", {(NASTY, "r2", 0): mixed_rows(NASTY)})
    text = html_page(read_report([path]), title=NASTY)
    page = Page()
    page.feed(text)
    assert page.tags.count("script") == 4
    assert "img" not in page.tags
    assert all(re.fullmatch(r"href=#p\d+", each) for each in page.reaches)
    assert "@import" not in text
    assert "url(" not in text


def test_loads_stand_from_light_to_heavy() -> None:
    names = ["r10", "c320-r3", "trace", "r0.5", "c160-r3", "r2-b0.5", "x10", "x2.5", "c8"]
    ordered = ["r0.5", "r2-b0.5", "x2.5", "r10", "x10", "c8", "c160-r3", "c320-r3", "trace"]
    assert sorted(names, key=lambda name: Load.read(name).order) == ordered


def test_a_directory_without_a_whole_point_is_refused(tmp_path: Path) -> None:
    path = run_directory(tmp_path / "run", {("a", "r1", 0): [good(0)]})
    (path / "points/a/mori/r1/s0/done.json").unlink()
    with pytest.raises(BenchError, match="nothing was wholly measured"):
        read_report([path])
