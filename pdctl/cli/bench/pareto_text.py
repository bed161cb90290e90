"""What `bench pareto` gathers, and its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from pdctl.bench.reports.plot import Axis, Room, Series, chart
from pdctl.bench.reports.reading import read_report
from pdctl.bench.reports.terminal import judged as judged_by
from pdctl.bench.reports.words import amount, share
from pdctl.bench.sizing.pareto import (
    Compared,
    Lead,
    Spot,
    best_within,
    compared,
    front,
    judged,
    lead,
    marks,
    telling,
)
from pdctl.bench.sizing.profile import load_profiles
from pdctl.bench.sizing.slo_match import Slo as Targets
from pdctl.bench.sizing.slo_match import Terms
from pdctl.bench.sizing.spots import matched_spots, measured_spots, names
from pdctl.cli.bench.match_terms import slo_from
from pdctl.cli.bench.match_text import aligned
from pdctl.model.deployment import Slo
from pdctl.ssh.text import printable


@dataclass(frozen=True, slots=True)
class Judged:
    """Spots of one scenario. `words`: the targets that they are judged by."""

    scenario: str
    spots: tuple[Spot, ...]
    left_out: tuple[str, ...]
    words: str
    attainment: float


def gather(
    directories: Sequence[Path],
    profile: Path | None,
    slo_text: str | None,
    attainment: float | None,
    scenarios: Sequence[str],
) -> Iterator[Judged]:
    """Every scenario that was measured, with the profile's matched points of its shape; then shapes that only the
    profile has. Raises BenchError, InvalidProfile, UsageError."""
    wanted = slo_from(slo_text) if slo_text else Targets()
    profiles = load_profiles(profile) if profile is not None else ()
    expected = {(each.isl, each.osl): matched_spots(each, Terms(wanted)) for each in profiles}
    if directories:
        report = read_report(directories).only(scenarios)
        own = report.slo
        itl_s = wanted.itl_s or wanted.tpot_s or own.itl_s
        report = report.judged_by(Slo(wanted.ttft_s or own.ttft_s, itl_s, attainment or own.attainment))
        alone = len(expected) == len(report.scenarios) == 1
        for scenario in report.scenarios:
            spots, left_out = measured_spots(report, scenario)
            shape = next((shape for shape in expected if alone or _lengths(scenario) == shape), None)
            matched = expected.pop(shape) if shape else ()
            yield Judged(scenario, (*spots, *matched), left_out, judged_by(report), report.slo.attainment)
    for (isl, osl), matched in expected.items():
        if matched:
            yield Judged(f"{isl}/{osl}, as matched", matched, (), "", 1.0)


def _lengths(scenario: str) -> tuple[int, ...]:
    """The numbers in a scenario's name: 4096/256 -> (4096, 256)."""
    return tuple(int(number) for number in re.findall(r"\d+", scenario))


def lines(found_in: Judged, promises: Sequence[float], room: Room) -> Iterator[Text]:
    """The chart, every point of the front, who leads at which promise, and who is best within the targets."""
    spots = found_in.spots
    yield Text(printable(found_in.scenario), style="bold underline")
    yield Text()
    yield from _chart(spots, room)
    counted = judged(spots)
    yield from map(Text, _front(counted))
    found = leads(counted, promises)
    if found and len(names(counted)) > 1:
        yield from map(Text, ["", *_leads(found)])
    if beside := compared(spots):
        yield from map(Text, ["", *_beside(beside)])
    if found_in.words:
        yield from map(Text, ["", *_within(found_in)])
    for name in found_in.left_out:
        yield Text(f"? left out: {printable(name)}", style="yellow")
    yield Text()


def _chart(spots: Sequence[Spot], room: Room) -> Iterator[Text]:
    series = [
        Series(
            printable(name),
            tuple(sorted((spot.tpsu, spot.tpsg) for spot in spots if spot.deployment == name)),
        )
        for name in names(spots)
    ]
    y = Axis("output tokens/s of a GPU (TPSG)", amount)
    title = "Pareto (upper right is better)"
    yield from chart(title, series, Axis("output tokens/s of a user (TPSU)", amount), y, room)
    yield Text()


def leads(spots: Sequence[Spot], promises: Sequence[float]) -> tuple[Lead, ...]:
    """At every promise that was asked for; else at round ones, where the lead changes."""
    found = [lead(spots, mark) for mark in promises or marks(spots)]
    return tuple(found) if promises else telling(found)


def _front(spots: Sequence[Spot]) -> list[str]:
    """Every point of the front, and how many points others beat."""
    best = front(spots)
    rows = [["  on the front", "load", "TPSU", "TPSG", "SLO", "layout"]]
    for spot in best:
        met = "-" if spot.attainment is None else share(spot.attainment)
        figures = [f"{spot.tpsu:.1f}", f"{spot.tpsg:.1f}", met]
        rows.append([f"  {printable(spot.deployment)}", printable(spot.load), *figures, spot.layout])
    beaten = len(spots) - len(best)
    matched = "" if any(spot.measured for spot in spots) else "; none is measured: phases apart were matched"
    return [*aligned(rows), f"  {beaten} of {len(spots)} points are beaten in both by another{matched}"]


def _leads(found: Sequence[Lead]) -> list[str]:
    rows = [["  TPSU >=", "TPSG", "most of a GPU", "than the next", ""]]
    for each in found:
        if each.best is None:
            rows.append([f"  {each.tpsu:g}", "-", "none is as fast", "-", ""])
            continue
        gain = "alone" if each.gain is None else f"{each.gain:+.1%}"
        second = printable(each.second.deployment) if each.second else ""
        best = f"{printable(each.best.deployment)} at {printable(each.best.load)}"
        rows.append([f"  {each.tpsu:g}", f"{each.best.tpsg:.1f}", best, gain, second])
    return aligned(rows)


def _beside(found: Sequence[Compared]) -> list[str]:
    rows = [["  measured, and as matched", "load", "TPSU", "matched", "TPSG", "matched", "", ""]]
    for each in found:
        one, other = each.measured, each.expected
        figures = [f"{one.tpsu:.1f}", f"{other.tpsu:.1f}", f"{one.tpsg:.1f}", f"{other.tpsg:.1f}", f"{each.gap:+.0%}"]
        rows.append([f"  {printable(one.deployment)}", printable(one.load), *figures, ""])
    return aligned(rows)


def _within(found_in: Judged) -> list[str]:
    best = best_within(found_in.spots, found_in.attainment)
    head = f"within {found_in.words.removeprefix('SLO: ')} for {share(found_in.attainment)} of the requests"
    if not best:
        return [f"{head}: none"]
    rows = [
        [f"  {printable(spot.deployment)}", printable(spot.load), f"{spot.tpsu:.1f}", f"{spot.tpsg:.1f}", ""]
        for spot in best
    ]
    return [f"{head}, most of a GPU first:", *aligned([["  deployment", "load", "TPSU", "TPSG", ""], *rows])]
