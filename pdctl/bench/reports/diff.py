"""Two runs, days apart: the same points against each other, and in what the runs differ beside their days. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rich.text import Text

from pdctl.bench.figures.figures import Figures
from pdctl.bench.figures.improvement import Improvement, LoadKey, Seeds, compare
from pdctl.bench.figures.metric import METRICS, Metric
from pdctl.bench.reports.entry import Load
from pdctl.bench.reports.improvements import aligned, said
from pdctl.bench.reports.words import ratio
from pdctl.bench.runs.definition import differences
from pdctl.bench.runs.meta import RunMeta
from pdctl.bench.runs.read import Run
from pdctl.errors import BenchError
from pdctl.model.events import plain

_NAMED = 6
DIFFED = ("e2el", "tps", "itl-p99", "ttft", "attainment")


class Change(StrEnum):
    """What can be said of a figure that is another one now. UNSURE: of one seed, whose noise nobody knows."""

    BETTER = "better"
    WORSE = "worse"
    NOISE = "within noise"
    SAME = "the same"
    UNSURE = "one seed"


@dataclass(frozen=True, slots=True)
class Changed:
    """One metric of one point in both runs. `row.ratio` above 1 is better now."""

    deployment: str
    metric: Metric
    row: Improvement

    @property
    def change(self) -> Change:
        if self.row.ratio == 1.0 and self.row.certain is not True:
            return Change.SAME
        if self.row.certain is None:
            return Change.UNSURE
        if not self.row.certain:
            return Change.NOISE
        return Change.BETTER if self.row.ratio > 1 else Change.WORSE

    def worse_by(self, share: float) -> bool:
        """Worse by more than `share` of the old figure, and not within the noise as far as that is known."""
        return self.row.ratio < 1 / (1 + share) and self.change in (Change.WORSE, Change.UNSURE)


@dataclass(frozen=True, slots=True)
class Diff:
    """`differs`: of the runs themselves, one line each. `alone`: points that only one of them has measured."""

    old: str
    new: str
    changes: tuple[Changed, ...]
    differs: tuple[str, ...]
    alone: tuple[str, ...]


def diff(old: Run, new: Run, metrics: Sequence[str] = DIFFED) -> Diff:
    """The points that both have measured. Where each has one deployment, these are compared whatever they are called.

    Raises BenchError where the two have nothing in common.
    """
    pairs = _pairs(old, new)
    found = [
        Changed(name, METRICS[metric], row)
        for name, before, after in pairs
        for metric in metrics
        for row in compare(_by_load(old, before), _by_load(new, after), METRICS[metric]).rows
    ]
    if not found:
        raise BenchError(
            f"{old.path} and {new.path} have no measured point in common",
            hint="the same scenarios and loads are matched",
        )
    found.sort(key=lambda each: (each.deployment, each.row.key[0], Load.read(each.row.key[1]).order))
    return Diff(str(old.path), str(new.path), tuple(found), differs(old.meta, new.meta), _alone(old, new, pairs))


def differs(old: RunMeta, new: RunMeta) -> tuple[str, ...]:
    """In what the runs differ that may be why their figures do."""
    told = [
        f"{what}: was {before or 'not known'}, now {after or 'not known'}"
        for what, before, after in (
            ("pdctl", old.pdctl, new.pdctl),
            ("commit", old.commit[:12], new.commit[:12]),
            ("inventory", old.inventory_digest[:12], new.inventory_digest[:12]),
            ("host", old.host.name, new.host.name),
            ("host's system", old.host.system, new.host.system),
            ("host's Python", old.host.python, new.host.python),
            ("host's CPUs", str(old.host.cpus), str(new.host.cpus)),
        )
        if before != after
    ]
    points = {point.id for point in old.definition.points} & {point.id for point in new.definition.points}
    for line in differences(old.definition, new.definition):
        where = line.removeprefix("point ").partition(":")[0]
        if not line.startswith("point ") or where in points:
            told.append(line)
    return tuple(told)


def _pairs(old: Run, new: Run) -> list[tuple[str, str, str]]:
    """(how it is called, its name in the old run, in the new one)"""
    before = list(dict.fromkeys(point.note.deployment for point in old.done))
    after = list(dict.fromkeys(point.note.deployment for point in new.done))
    common = [name for name in before if name in after]
    if not common and len(before) == len(after) == 1:
        return [(f"{before[0]} -> {after[0]}", before[0], after[0])]
    return [(name, name, name) for name in common]


def _by_load(run: Run, deployment: str) -> Mapping[LoadKey, Seeds]:
    found: dict[LoadKey, dict[int, Figures]] = {}
    for point in run.done:
        if point.note.deployment == deployment and point.figures is not None:
            found.setdefault((point.note.scenario, point.note.load), {})[point.note.seed] = point.figures
    return found


def _alone(old: Run, new: Run, pairs: Sequence[tuple[str, str, str]]) -> tuple[str, ...]:
    renamed = {after: before for _, before, after in pairs}

    def places(run: Run, *, rename: bool) -> dict[tuple[str, str, str, int], str]:
        notes = [point.note for point in run.done]
        return {
            (renamed.get(n.deployment, n.deployment) if rename else n.deployment, n.scenario, n.load, n.seed): n.id
            for n in notes
        }

    before, after = places(old, rename=False), places(new, rename=True)
    return (
        *(f"{before[key]} (only {old.path})" for key in before if key not in after),
        *(f"{after[key]} (only {new.path})" for key in after if key not in before),
    )


def diff_lines(found: Diff) -> list[Text]:
    """For a terminal: what differs, then a line for every figure."""
    lines = [Text(f"{found.old} -> {found.new}", style="bold")]
    lines += [Text(f"? {text}", style="yellow") for text in found.differs]
    for deployment in dict.fromkeys(each.deployment for each in found.changes):
        lines += [Text(), Text(deployment, style="bold")]
        rows = list(_rows([each for each in found.changes if each.deployment == deployment]))
        styles = [_STYLES.get(Change(row[-1]), "") for row in rows]
        heads = ["scenario", "load", "", "before", "now", "", "95 %", ""]
        table = aligned([heads, *rows], left=(0, 1, 2, 7))
        for line, style in zip(table[1:], styles, strict=True):
            line.stylize(style)
        lines += table
    lines += [Text(f"? not compared: {text}", style="dim") for text in found.alone[:_NAMED]]
    if len(found.alone) > _NAMED:
        lines.append(Text(f"? not compared: {len(found.alone) - _NAMED} more points", style="dim"))
    return lines


_STYLES = {Change.BETTER: "green", Change.WORSE: "red", Change.NOISE: "dim", Change.SAME: "dim"}


def _rows(changes: Sequence[Changed]) -> Iterator[list[str]]:
    for each in changes:
        row = each.row
        between = "" if row.low is None or row.high is None else f"{row.low:.2f}-{row.high:.2f}"
        values = (said(each.metric, row.base), said(each.metric, row.other))
        yield [*row.key, each.metric.title, *values, ratio(row.ratio), between, each.change.value]


def diff_document(found: Diff) -> dict[str, Any]:
    """JSON-able."""
    return {
        "old": found.old,
        "new": found.new,
        "differs": list(found.differs),
        "not_compared": list(found.alone),
        "changes": [
            {
                **plain(each.row),
                "key": {"scenario": each.row.key[0], "load": each.row.key[1]},
                "deployment": each.deployment,
                "metric": each.metric.name,
                "unit": each.metric.unit,
                "higher_is_better": each.metric.higher_is_better,
                "change": each.change.value,
            }
            for each in found.changes
        ],
    }
