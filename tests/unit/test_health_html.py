"""The HTML report: one file that needs nothing else, with nothing in it that a node could have smuggled in."""

from __future__ import annotations

from html.parser import HTMLParser

from pdctl.health.html_report import html_report
from pdctl.health.judge import judge
from pdctl.health.registry import Registry
from pdctl.health.report import Report
from pdctl.model.observed import Trouble
from tests.unit.health_fleet import below, envelope, fleet, trait

VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Checks that tags close, and keeps text and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(report: Report) -> Reader:
    reader = Reader()
    reader.feed(
        html_report(report, cluster="r1", when="2026-01-02 03:04 UTC", envelopes={"mi300x-01": envelope("mi300x-01")})
    )
    reader.close()
    assert reader.open == []
    return reader


def test_the_report_says_who_may_serve_and_why_not() -> None:
    sent = fleet(
        {"mi300x-01": {"heat": "99", "kernel": "6.8"}, "mi300x-02": {"heat": "1", "kernel": "6.8"}},
        unreachable={"mi300x-03": Trouble("connection refused")},
    )
    reader = read(judge(sent, Registry(checks=(below("heat", 20),), traits=(trait("kernel"),))))
    for said in ("mi300x-01.all", "test.heat on mi300x-01", "lower heat", "machine-mi300x-01", "connection refused"):
        assert said in reader.text
    assert "What passed: 2 checks" in reader.text


def test_it_refers_to_nothing_outside_and_runs_nothing() -> None:
    reader = read(judge(fleet({"mi300x-01": {"heat": "99"}}), Registry(checks=(below("heat", 20),))))
    assert not reader.tags & {"script", "link", "img", "iframe", "object", "a"}
    assert not reader.attributes & {"src", "href", "onclick", "onload", "style"}


def test_what_nodes_print_is_text() -> None:
    evil = "<script>alert(1)</script>&amp;<img src=x>"
    sent = fleet({"mi300x-01": {"kernel": evil}, "mi300x-02": {"kernel": "6.8"}})
    reader = read(judge(sent, Registry(traits=(trait("kernel"),))))
    assert evil in reader.text
    assert "script" not in reader.tags
