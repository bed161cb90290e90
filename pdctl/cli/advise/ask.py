"""`pdctl advise` itself: the question from the command line, the answer to the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pdctl.advisor.advise import Question, advise, steady
from pdctl.advisor.fleet_of import fleet_of
from pdctl.advisor.observed import observed
from pdctl.advisor.rank import Objective
from pdctl.cli.advise.answer_json import as_json
from pdctl.cli.advise.known_profiles import profiles
from pdctl.cli.bench.match_terms import slo_from
from pdctl.cli.duration_type import DURATION
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.control.read_deployment import read_deployment
from pdctl.errors import UsageError
from pdctl.model.deployment import Deployment, Slo
from pdctl.model.snapshot import Snapshot
from pdctl.perf.arrivals import closed_loop, open_loop
from pdctl.perf.scenarios import scenario
from pdctl.perf.trace_file import parse_trace
from pdctl.perf.workload import Workload
from pdctl.text.advice import advice_lines
from pdctl.text.escape import log_line


def answer(options: Globals, asked: Mapping[str, Any]) -> int:
    """Returns the exit code: 0 with an answer, also where it is too close to call."""
    given = [name for name in ("scenario", "isl", "trace", "observed") if asked[name]]
    if len(given) > 1:
        raise UsageError(
            f"one workload at a time: {' and '.join('--' + name for name in given)}", hint="leave all but one out"
        )
    deployment = read_deployment(options.inventory)[1]
    slo = _slo(asked["slo"], deployment.slo)
    restart_s = DURATION.convert(asked["restart"], None, None)
    if given and given != ["observed"]:
        workloads, source = _given(asked)
        _say(options, deployment, _question(asked, workloads, slo, source, restart_s), asked)
        return 0

    from pdctl.cli.advise.look import look  # all that reaches nodes, which a given workload does without

    def judge(seen: Sequence[Snapshot], of: Deployment) -> None:
        traffic = observed(seen)
        workloads = steady(traffic.rate_per_s, traffic.isl, traffic.osl, seeds=asked["seeds"])
        question = _question(asked, workloads, slo, f"observed: {traffic.words}", restart_s)
        _say(options, of, replace(question, notes=traffic.notes), asked)

    return look(options, DURATION.convert(asked["watch_s"], None, None), judge)


def _question(
    asked: Mapping[str, Any], workloads: tuple[Workload, ...], slo: Slo, source: str, restart_s: float
) -> Question:
    open_ended = workloads[0].concurrency is None
    objective = Objective(asked["objective"] or ("goodput" if open_ended else "throughput"))
    return Question(workloads, slo, objective, source, restart_s)


def _given(asked: Mapping[str, Any]) -> tuple[tuple[Workload, ...], str]:
    """The workload that was named or described, once per seed, and what it is in words."""
    seeds, rate, users = range(asked["seeds"]), asked["rate_per_s"], asked["concurrency"]
    if asked["trace"]:
        path: Path = asked["trace"]
        return (parse_trace(path.read_text(), str(path), concurrency=users),), f"trace {path.name}"
    isl, osl = asked["isl"], asked["osl"]
    if asked["scenario"]:
        named = scenario(asked["scenario"])
        isl, osl = named.isl, named.osl
        for load in named.loads:
            if rate is None and load.concurrency == users and users is not None:
                return tuple(load.workload(isl, osl, seed=seed) for seed in seeds), f"{named.name} {load.name}"
    if isl is None or osl is None:
        raise UsageError("--isl wants --osl, and the other way", hint="--isl 8192 --osl 1024 --rate 2")
    shape = f"{isl}/{osl}"
    if rate is None and users is None:
        raise UsageError("how much of it is not said", hint="add --rate or --concurrency")
    if rate is None:
        return (closed_loop(2 * users, users, isl, osl),), f"{shape}, {users} at once"
    if users is None:
        return steady(rate, isl, osl, seeds=asked["seeds"]), f"{shape} at {rate:g} requests/s"
    loads = tuple(open_loop(2 * users, rate, isl, osl, seed=seed, concurrency=users) for seed in seeds)
    return loads, f"{shape} at {rate:g} requests/s, {users} at once at most"


def _slo(text: str | None, default: Slo) -> Slo:
    if text is None:
        return default
    said = slo_from(text)
    itl_s = said.itl_s if said.itl_s is not None else said.tpot_s
    return Slo(
        said.ttft_s if said.ttft_s is not None else default.ttft_s,
        itl_s if itl_s is not None else default.itl_s,
        default.attainment,
    )


def _say(options: Globals, deployment: Deployment, question: Question, asked: Mapping[str, Any]) -> None:
    found = advise(fleet_of(deployment, profiles(asked["profiles"])), question)
    if options.json:
        say_json(options, "advice", as_json(found), cluster=deployment.cluster)
    else:
        click.echo("\n".join(log_line(line) for line in advice_lines(found)))
