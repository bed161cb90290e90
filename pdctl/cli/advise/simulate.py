"""`pdctl advise simulate`: a day on a virtual fleet, played several ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from pdctl.advisor.day.arms import Arm, DayTable
from pdctl.cli.advise.known_profiles import profiles
from pdctl.cli.advise.simulate_text import as_json, lines
from pdctl.cli.duration_type import DURATION
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.errors import UsageError
from pdctl.inventory.scalars import check_duration
from pdctl.model.deployment import Slo
from pdctl.perf.builtin_profiles import R1_MI300X
from pdctl.perf.days.ratio import Ratio
from pdctl.perf.days.scenes import R1_SLO, SCENES, WALK_ENGINE, Scene
from pdctl.perf.profile import Profile
from pdctl.perf.trace_file import parse_trace

POLICIES = ("ours", "greedy", "oracle", "fixed")


@click.command("simulate")
@click.option("--day", type=click.Choice(list(SCENES)), help="A made-up day.")
@click.option(
    "--trace", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Offers, as JSON lines, instead."
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    help="ours, greedy, oracle, fixed (every split that does not move), or static:2P3D. Default: all; may be repeated.",
)
@click.option("--nodes", type=click.IntRange(2, 64), help="Instances. Default: 5; the walk: 6.")
@click.option("--restart", type=DURATION, default="300s", show_default=True, help="What a move takes once drained.")
@click.option("--start", help="The split that moving arms start from. Default: the best that does not move.")
@click.option("--profile", help="The engines' model. Default: r1-mi300x-ep8; the walk: walk.")
@click.option("--slo", help="Such as ttft=15s,itl=100ms. ITL is each request's mean.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), default=1.0, help="Times the day's usual rate.")
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="Length of a made-up day.")
@click.option("--tick", type=DURATION, default="15s", show_default=True, help="How often a policy decides.")
@click.option("--queue-limit", type=click.IntRange(1), help="Refuse beyond so many in hand of a prefill instance.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.pass_obj
def command(
    options: Globals,
    day: str | None,
    trace: Path | None,
    policies: tuple[str, ...],
    nodes: int | None,
    restart: float,
    start: str | None,
    profile: str | None,
    slo: str | None,
    rate: float,
    hours: float | None,
    tick: float,
    queue_limit: int | None,
    seed: int,
) -> int:
    """Play a day on a virtual fleet: what every split would have earned, and what moving would have.

    Iteration by iteration, in seconds. A move drains an instance, restarts it and gives it the other role.
    """
    if (day is None) == (trace is None):
        raise UsageError("which day?", hint=f"give --trace, or --day: {', '.join(SCENES)}")
    scene = SCENES[day](seed, hours, rate) if day else _traced(trace, rate, nodes)
    scene = replace(
        scene,
        instances=nodes or scene.instances,
        profile=_profile(profile) or scene.profile,
        slo=_slo(slo, scene.slo),
        right=() if nodes and nodes != scene.instances else scene.right,
    )
    table = DayTable(scene, restart, seed=seed, tick_s=tick, queue_limit=queue_limit)
    arms = list(_arms(table, policies or ("fixed", "greedy", "oracle", "ours"), _start(start, table)))
    if options.json:
        say_json(options, "advise_simulate", as_json(scene, restart, seed, arms), cluster="")
    else:
        for line in lines(scene, restart, arms):
            click.echo(line)
    return 0


def _arms(table: DayTable, policies: tuple[str, ...], start: Ratio | None) -> Iterator[Arm]:
    for policy in policies:
        if policy == "fixed":
            yield from table.all_fixed()
        elif policy.startswith("static:"):
            yield table.fixed(_ratio(policy.removeprefix("static:"), table))
        elif policy == "greedy":
            yield table.greedy(start or table.best_fixed)
        elif policy == "oracle":
            yield table.oracle()
        elif policy == "ours":
            yield table.policy(start or table.best_fixed)
        else:
            raise UsageError(f"there is no policy {policy!r}", hint=f"{', '.join(POLICIES)} or static:2P3D")


def _start(words: str | None, table: DayTable) -> Ratio | None:
    return _ratio(words, table) if words else None


def _ratio(words: str, table: DayTable) -> Ratio:
    try:
        found = Ratio.parse(words)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if found not in table.ratios:
        raise UsageError(f"{found} is no split of {table.scene.instances} instances")
    return found


def _traced(trace: Path | None, rate: float, nodes: int | None) -> Scene:
    assert trace is not None
    workload = parse_trace(trace.read_text(), str(trace), rate=rate)
    return Scene(trace.name, workload, nodes or 5, R1_MI300X, R1_SLO)


def _profile(name: str | None) -> Profile | None:
    if name is None:
        return None
    return WALK_ENGINE if name == WALK_ENGINE.name else profiles([name])[0]


def _slo(words: str | None, usual: Slo) -> Slo:
    """`ttft=15s,itl=100ms`."""
    if words is None:
        return usual
    said: dict[str, float] = {}
    for part in words.split(","):
        name, _, value = part.strip().partition("=")
        if name not in ("ttft", "itl"):
            raise UsageError(f"no target {name!r}", hint="--slo ttft=15s,itl=100ms")
        try:
            said[f"{name}_s"] = check_duration(value)
        except ValueError as error:
            raise UsageError(f"--slo {part}: {error}") from error
    return replace(usual, **said)
