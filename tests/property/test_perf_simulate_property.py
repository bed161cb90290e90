"""Leaps change nothing: the simulation agrees with one that takes every step, on any workload."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from pdctl.model.deployment import Slo
from pdctl.perf.layout import Layout
from pdctl.perf.outcome import attained
from pdctl.perf.simulate import Simulated, quantile, simulate
from pdctl.perf.step_time import RankLoad, StepConstants, step_time_s
from pdctl.perf.workload import Asked, Workload
from tests.unit.perf_scenes import mixed, split

CONSTANTS = StepConstants(10e-3, 1e-3, 1e-6, 50e-3, 0.5e-3, 0.1e-3, 1e-6)

asked = st.builds(Asked, at_s=st.floats(0.0, 3.0), isl=st.integers(1, 400), osl=st.integers(1, 60))
workloads = st.builds(
    Workload,
    # No two at the same moment: an idle engine begins with the first of them, whichever that is.
    st.lists(asked, min_size=1, max_size=12, unique_by=lambda one: one.at_s).map(
        lambda found: tuple(sorted(found, key=lambda one: one.at_s))
    ),
    st.none() | st.integers(1, 4),
)


@dataclass(slots=True)
class Slow:
    """A mixed engine of one rank that takes one step after the other."""

    now_s: float = 0.0
    queue: deque[list[int]] = field(default_factory=deque)  # number, prompt tokens left, output tokens
    decoding: dict[int, list[int]] = field(default_factory=dict)  # number -> context, tokens left

    def step(self, chunk: int) -> tuple[list[int], list[int]]:
        """One step: whose first token came, who is done."""
        budget, taken = chunk - len(self.decoding), []
        for entry in self.queue:
            if budget <= 0:
                break
            tokens = min(entry[1], budget)
            taken.append((entry, tokens))
            budget -= tokens
        load = RankLoad(
            len(self.decoding), sum(context for context, _ in self.decoding.values()), sum(n for _, n in taken)
        )
        self.now_s += step_time_s(CONSTANTS, [load])
        first, done = [], []
        for number, state in list(self.decoding.items()):
            state[0], state[1] = state[0] + 1, state[1] - 1
            if not state[1]:
                done.append(number)
                del self.decoding[number]
        for entry, tokens in taken:
            entry[1] -= tokens
            if not entry[1]:
                self.queue.popleft()
                first.append(entry[0])
        return first, done


def every_step(workload: Workload, chunk: int) -> list[tuple[float, float]]:
    """(first, done) of every request on one mixed engine of one rank."""
    engine, waiting, inside = Slow(), deque(enumerate(workload.asked)), 0
    limit = workload.concurrency or len(workload.asked)
    first: dict[int, float] = {}
    done: dict[int, float] = {}
    while len(done) < len(workload.asked):
        while waiting and waiting[0][1].at_s <= engine.now_s and inside < limit:
            number, one = waiting.popleft()
            engine.queue.append([number, one.isl, one.osl])
            inside += 1
        if not engine.queue and not engine.decoding:
            engine.now_s = waiting[0][1].at_s
            continue
        firsts, dones = engine.step(chunk)
        for number in firsts:
            first[number] = engine.now_s
            one = workload.asked[number]
            if one.osl == 1:
                dones.append(number)
            else:
                engine.decoding[number] = [one.isl + 1, one.osl - 1]
        for number in dones:
            done[number] = engine.now_s
            inside -= 1
    return [(first[number], done[number]) for number in range(len(workload.asked))]


def close(one: float | None, other: float) -> bool:
    return one is not None and abs(one - other) < 1e-6


@given(workloads, st.sampled_from([64, 8192]))
def test_leaping_gives_what_every_single_step_gives(workload: Workload, chunk: int) -> None:
    leapt = simulate(mixed(constants=CONSTANTS, chunk_tokens=chunk), workload).flights
    slow = every_step(workload, chunk)
    for flight, (first_s, done_s) in zip(leapt, slow, strict=True):
        assert close(flight.first_s, first_s), (flight, first_s)
        assert close(flight.done_s, done_s), (flight, done_s)


@given(workloads, st.integers(1, 3), st.integers(1, 3), st.sampled_from([1, 4]), st.integers(1, 5))
def test_every_request_ends_and_has_a_gap_for_every_token_but_the_first(
    workload: Workload, prefill: int, decode: int, ranks: int, seats: int
) -> None:
    layout = split(prefill, decode, constants=CONSTANTS, ranks=ranks, max_seqs=seats)
    run = simulate(layout, workload)
    for flight in run.flights:
        assert flight.prefilled_s is not None and flight.first_s is not None and flight.done_s is not None
        assert flight.at_s <= flight.sent_s < flight.prefilled_s < flight.first_s <= flight.done_s
        gaps = run.gaps_s(flight)
        assert sum(count for _, count in gaps) == flight.osl - 1
    assert counted_gaps(run) == sum(flight.osl - 1 for flight in run.flights)


def counted_gaps(run: Simulated) -> int:
    return sum(stretch.gaps for engine in run.engines for stretch in engine.stretches)


@given(
    workloads, st.floats(0.005, 0.4), st.sampled_from([mixed(constants=CONSTANTS), split(1, 2, constants=CONSTANTS)])
)
def test_attainment_is_that_of_each_requests_own_gaps(workload: Workload, itl_s: float, layout: Layout) -> None:
    run = simulate(layout, workload)
    met = [quantile(run.gaps_s(flight), 0.99) <= itl_s for flight in run.flights]
    assert attained(run, Slo(1e9, itl_s, 0.95)) == sum(met) / len(met)
