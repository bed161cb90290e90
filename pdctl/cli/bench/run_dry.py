"""`--dry-run`: the points of a run, and the least time that their arrivals take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from pdctl.bench.point import Point
from pdctl.bench.runs.definition import Definition
from pdctl.bench.runs.estimate import least_s
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.model.events import plain
from pdctl.text.duration import duration


def say_dry(options: Globals, definition: Definition, points: Sequence[Point], directory: Path) -> None:
    """As text, or as one JSON document. Nothing is sent and nothing written."""
    least = [least_s(point) for point in points]
    known_s = sum(each for each in least if each is not None)
    deployment = points[0].deployment
    if options.json:
        body = {"directory": str(directory), "definition": plain(definition), "least_s": round(known_s, 3)}
        say_json(options, "bench_plan", body, cluster=deployment)
        return
    width = max(len(point.id) for point in points)
    for point, least_of in zip(points, least, strict=True):
        asked = len(point.workload.asked)
        takes = "as long as the server takes" if least_of is None else f"at least {duration(least_of)}"
        if point.duration_s is not None:
            takes = f"{duration(point.duration_s)} and what is in flight then"
        sent = "as many as fit" if point.duration_s is not None else f"{asked:6} requests"
        click.echo(f"{point.id:{width}}  {sent}  {takes}")
    requests = sum(len(point.workload.asked) for point in points if point.duration_s is None)
    click.echo(f"{len(points)} points, {requests} requests; arrivals alone take {duration(known_s)}")
    slo = definition.slo
    targets = (
        f"ttft {slo.ttft_s:g} s, itl {slo.itl_s:g} s ({definition.criterion.value})" if slo else "none: no goodput"
    )
    click.echo(f"target {definition.targets[deployment].url}, driver {definition.driver}, SLO {targets}")
    click.echo(f"results would go to {directory}")
