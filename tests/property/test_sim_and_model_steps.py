"""The simulated engine's scheduler and the model's engine take the same steps: of the same length, with the same work.

They are two programs: one holds KV blocks, transfers and clients, the other leaps over steps that are alike. What they
have in common is the step-time equation; this holds the rest of them together, rank by rank and step by step.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pdctl.model.role import Role
from pdctl.perf.engine_run import EngineRun, Flight
from pdctl.perf.layout import InstanceModel
from pdctl.perf.step_time import StepConstants, step_time_s
from pdctl.sim.answer import Answer
from pdctl.sim.scheduler import Limits, RankScheduler
from pdctl.sim.sim_request import Leg, SimRequest

CONSTANTS = StepConstants(0.05, 0.002, 1e-6, 0.1, 1e-4, 1e-5, 2e-6)
CHUNK, SEATS = 4096, 3


@dataclass(frozen=True, slots=True)
class Asked:
    at_s: float
    isl: int
    osl: int


@dataclass(frozen=True, slots=True)
class Ended:
    """When a request had its first token and its last one."""

    first_s: float
    last_s: float


def asked(gap_s: float, isl: int, osl: int) -> Asked:
    return Asked(gap_s, isl, osl)


SHAPES = st.lists(
    st.builds(asked, st.floats(0.0, 3.0), st.integers(1, 9000), st.integers(1, 40)), min_size=1, max_size=12
)


def offers(gaps: list[Asked]) -> list[Asked]:
    """In the order of time; no two at the same moment, nor at a step's end, where either order would be right."""
    at_s, found = 0.0, []
    for number, each in enumerate(gaps):
        at_s += each.at_s + 1e-4 * (number + 1) * 1.000137
        found.append(Asked(at_s, each.isl, each.osl))
    return found


def by_simulated_engine(role: Role, work: list[Asked]) -> list[Ended]:
    """The loop of `sim.engine_core` in virtual time, for one rank and KV that has landed."""
    rank = RankScheduler(Limits(SEATS, CHUNK, 16, 100_000))
    leg = {Role.PREFILL: Leg.PREFILL, Role.DECODE: Leg.FILLED, Role.MIXED: Leg.LOCAL}[role]
    coming = []
    for number, each in enumerate(work):
        tokens = 1 if role is Role.PREFILL else each.osl
        answer = Answer(0, tokens, "length")
        coming.append(SimRequest(str(number), str(number), each.isl, answer, tokens, each.at_s, leg))
    for request in coming:
        if role is Role.DECODE:
            request.landed = request.prompt_tokens
    waiting, now_s = list(coming), 0.0
    while waiting or rank.unfinished:
        while waiting and waiting[0].arrival_s <= now_s:
            rank.add(waiting.pop(0))
        step = rank.schedule(now_s)
        if not step.busy:
            now_s = waiting[0].arrival_s
            continue
        now_s += step_time_s(CONSTANTS, [step.load])
        for request in rank.advance(step):
            request.first_token_s = request.first_token_s or now_s
            if request.produced >= request.answer.length:
                rank.finish(request, "length", now_s)
    return [Ended(request.first_token_s or 0.0, request.finished_s or 0.0) for request in coming]


def by_model(role: Role, work: list[Asked]) -> list[Ended]:
    engine = EngineRun(InstanceModel(role, CONSTANTS, 1, CHUNK, SEATS), 0, random.Random(0))
    flights = [Flight(number, each.isl, each.osl, each.at_s) for number, each in enumerate(work)]
    coming, now_s = list(flights), 0.0
    ends_s: float | None = None
    while coming or ends_s is not None:
        if coming and (ends_s is None or coming[0].at_s <= ends_s):
            flight = coming.pop(0)
            now_s = flight.at_s
            engine.arrive(flight)
            if ends_s is None:
                ends_s = engine.begin(now_s)
            elif engine.cut(now_s):
                ends_s = engine.ends_s
            continue
        assert ends_s is not None
        engine.end()
        ends_s = engine.begin(ends_s)
    if role is Role.PREFILL:
        return [Ended(flight.prefilled_s or 0.0, flight.prefilled_s or 0.0) for flight in flights]
    return [Ended(flight.first_s or 0.0, flight.done_s or 0.0) for flight in flights]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([Role.PREFILL, Role.DECODE, Role.MIXED]), SHAPES)
def test_both_give_every_token_at_the_same_time(role: Role, gaps: list[Asked]) -> None:
    work = offers(gaps)
    simulated, modelled = by_simulated_engine(role, work), by_model(role, work)
    for one, other in zip(simulated, modelled, strict=True):
        assert abs(one.first_s - other.first_s) < 1e-6 * max(1.0, one.first_s), (work, simulated, modelled)
        assert abs(one.last_s - other.last_s) < 1e-6 * max(1.0, one.last_s), (work, simulated, modelled)
