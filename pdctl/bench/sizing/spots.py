"""Spots for a Pareto front: from runs that were measured, and from a profile of phases. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pdctl.bench.reports.entry import Report
from pdctl.bench.reports.summary import summaries
from pdctl.bench.sizing.pareto import Spot
from pdctl.bench.sizing.points import Profile
from pdctl.bench.sizing.slo_match import Terms, kept, slo_match


def measured_spots(report: Report, scenario: str) -> tuple[tuple[Spot, ...], tuple[str, ...]]:
    """One spot for each deployment and load of `scenario`, the mean of its seeds; and the points that are none, with
    why: no answer, no GPUs known, or requests that failed, without which a rate says little."""
    spots: list[Spot] = []
    left_out: list[str] = []
    sources = {entry.place: entry.origin.path for entry in report.entries}
    for each in summaries(report):
        if each.scenario != scenario:
            continue
        name = f"{each.deployment} at {each.load.name}"
        if each.failed:
            left_out.append(f"{name}: {each.failed} of {each.ok + each.failed} requests failed")
        elif each.tpsu is None or each.tpsg is None:
            left_out.append(f"{name}: its GPUs are not known" if each.tpsg is None else f"{name}: nothing was answered")
        else:
            source = sources[each.deployment, each.scenario, each.load.name]
            spots.append(Spot(each.deployment, each.load.name, each.tpsu, each.tpsg, each.attainment, True, source))
    return tuple(spots), tuple(left_out)


def matched_spots(profile: Profile, terms: Terms) -> tuple[Spot, ...]:
    """What a profile lets expect: every decode point with the prefill that it needs, named by its widths, and the
    aggregated points."""
    return (*_split(profile, terms), *_aggregated(profile))


def _split(profile: Profile, terms: Terms) -> Iterator[Spot]:
    for row in kept(slo_match(profile, terms)):
        matched = row.matched
        load, name = f"c{matched.point.concurrency:g}", f"matched {matched.width.label} -> {matched.point.width.label}"
        source, layout = matched.point.source, matched.candidate
        yield Spot(name, load, matched.tpsu, matched.tpsg, measured=False, source=source, layout=layout)


def _aggregated(profile: Profile) -> Iterator[Spot]:
    for point in profile.aggregated:
        layout, load = f"agg-{point.width.label}", f"c{point.concurrency:g}"
        source, name = point.source, f"alone {layout}"
        yield Spot(name, load, point.tpsu, point.tpsg, measured=False, source=source, layout=layout)


def names(spots: Sequence[Spot]) -> tuple[str, ...]:
    """Deployments in the order of their first spots."""
    return tuple(dict.fromkeys(spot.deployment for spot in spots))
