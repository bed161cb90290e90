"""One simulated engine: ranks in lock step, chunked prefill, decode. It leaps over steps that are alike.

Nothing here knows the time of day or sleeps: `begin` says when the work in hand ends, `end` does it. Between the two an
arrival may shorten a leap (`cut`), since who arrives joins at the next step's boundary.
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

from pdctl.model.role import Role
from pdctl.perf.layout import InstanceModel, Placement
from pdctl.perf.step_time import StepConstants


@dataclass(slots=True, eq=False)
class Flight:
    """One request on its way. Times in seconds from the start of the simulation, None until they come."""

    number: int
    isl: int
    osl: int
    at_s: float
    sent_s: float = 0.0
    prefilled_s: float | None = None
    first_s: float | None = None
    done_s: float | None = None
    prompt_left: int = 0
    rank: int = 0
    decoder: int = 0  # the engine that writes its tokens, and the steps there that do (for its own gaps)
    first_step: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """`steps` alike decode steps of `step_s` each, from step `first` on; `gaps` tokens came that had one before."""

    first: int
    steps: int
    step_s: float
    gaps: int


@dataclass(slots=True)
class EngineRun:
    """The state of one engine. `begin`, perhaps `cut`, then `end`; `arrive` at any moment."""

    model: InstanceModel
    index: int
    dice: random.Random
    stretches: list[Stretch] = field(default_factory=list)
    steps: int = 0
    began_s: float = 0.0
    ends_s: float | None = None
    version: int = 0  # of the end that was announced; a cut announces another
    _decoding: list[int] = field(init=False)
    _context: list[int] = field(init=False)
    _in_hand: list[int] = field(init=False)
    _reserved: list[int] = field(init=False)
    _queues: list[deque[Flight]] = field(init=False)
    _seated: list[int] = field(init=False)
    _finishing: list[tuple[int, int, Flight]] = field(default_factory=list)
    _chunks: list[tuple[Flight, int]] = field(default_factory=list)
    _leap: int = 0
    _joined: list[Flight] = field(default_factory=list)
    _step_s: float = 0.0
    _growth_s: float = 0.0

    def __post_init__(self) -> None:
        ranks = self.model.ranks
        self._decoding, self._context = [0] * ranks, [0] * ranks
        self._in_hand, self._reserved = [0] * ranks, [0] * ranks
        self._seated = [0] * ranks
        self._queues = [deque() for _ in range(ranks)]

    def arrive(self, flight: Flight) -> None:
        """Take a request: a prompt to read, or (a decode engine) one whose KV has landed."""
        flight.rank = self._rank()
        flight.prompt_left = flight.isl
        self._in_hand[flight.rank] += 1
        self._queues[flight.rank].append(flight)

    @property
    def in_hand(self) -> int:
        """Requests that it has not finished with."""
        return sum(self._in_hand)

    def _rank(self) -> int:
        if self.model.ranks == 1:
            return 0
        if self.model.placement is Placement.RANDOM:
            return self.dice.randrange(self.model.ranks)
        return self._in_hand.index(min(self._in_hand))

    def begin(self, now_s: float) -> float | None:
        """Start the next step, or a leap over many; when it ends, or None with nothing to do."""
        landed = most_prompt = all_prompt = 0
        for rank, queue in enumerate(self._queues):
            if queue and self.model.role is Role.DECODE:
                landed += self._join(rank, queue)
            elif queue:
                taken = self._take_prompts(rank, queue)
                most_prompt, all_prompt = max(most_prompt, taken), all_prompt + taken
        if not all_prompt and not self._finishing:
            self.ends_s = None
            return None
        constants, most_context = self.model.constants, max(self._context)
        self._step_s = _step_s(constants, max(self._decoding), most_context, most_prompt, all_prompt, landed)
        self._leap, self._growth_s = 1, 0.0
        if not all_prompt and not landed:
            self._leap = self._finishing[0][0] - self.steps
            grows = self._decoding[self._context.index(most_context)]
            self._growth_s = constants.decode_per_context_token_s * grows
        self.began_s, self.version = now_s, self.version + 1
        self.ends_s = now_s + self._after_s(self._leap)
        return self.ends_s

    def _after_s(self, steps: int) -> float:
        return steps * self._step_s + self._growth_s * steps * (steps - 1) / 2

    def cut(self, now_s: float) -> bool:
        """Let a leap end at the first boundary not before `now_s`; whether its end changed."""
        if self.ends_s is None or self._leap <= 1:
            return False
        passed_s = now_s - self.began_s
        steps = passed_s / self._step_s
        if self._growth_s:
            linear = self._step_s - self._growth_s / 2
            steps = (math.sqrt(linear * linear + 2 * self._growth_s * passed_s) - linear) / self._growth_s
        needed = max(1, math.ceil(steps - 1e-9))
        if needed >= self._leap:
            return False
        self._leap, self.version = needed, self.version + 1
        self.ends_s = self.began_s + self._after_s(needed)
        return True

    def end(self) -> list[Flight]:
        """Finish the step or leap; who has read its prompt on a prefill engine, or has written its last token."""
        assert self.ends_s is not None
        now_s = self.ends_s
        self._count_gaps(now_s)
        leaving: list[Flight] = []
        for flight in self._joined:
            flight.first_s = now_s
        self._joined.clear()
        while self._finishing and self._finishing[0][0] <= self.steps:
            flight = heappop(self._finishing)[2]
            self._decoding[flight.rank] -= 1
            self._context[flight.rank] -= flight.isl + flight.osl
            leaving.append(self._done(flight, now_s))
        for flight, tokens in self._chunks:
            flight.prompt_left -= tokens
            if not flight.prompt_left:
                leaving += self._read(flight, now_s)
        self._chunks.clear()
        return leaving

    def _count_gaps(self, now_s: float) -> None:
        decoding = sum(self._decoding)
        if not decoding:
            return
        gaps = self._leap * decoding - len(self._joined)
        self.stretches.append(Stretch(self.steps, self._leap, (now_s - self.began_s) / self._leap, gaps))
        self.steps += self._leap
        for rank, count in enumerate(self._decoding):
            self._context[rank] += count * self._leap

    def _has_seat(self, rank: int, flight: Flight) -> bool:
        model = self.model
        if self._seated[rank] >= model.max_seqs:
            return False
        room = model.kv_tokens
        return room is None or not self._seated[rank] or self._reserved[rank] + flight.isl + flight.osl <= room

    def _sit(self, rank: int, flight: Flight) -> None:
        self._seated[rank] += 1
        self._reserved[rank] += flight.isl + flight.osl

    def _join(self, rank: int, queue: deque[Flight]) -> int:
        """Let those whose KV has landed decode, as far as there are seats; how many KV tokens they brought."""
        landed = 0
        while queue and self._has_seat(rank, queue[0]):
            flight = queue.popleft()
            self._sit(rank, flight)
            self._decode(flight, flight.isl, flight.osl)
            self._joined.append(flight)
            landed += flight.isl
        return landed

    def _take_prompts(self, rank: int, queue: deque[Flight]) -> int:
        """Prompt tokens that the rank reads in this step, in the order of arrival."""
        budget = self.model.chunk_tokens - self._decoding[rank]
        taken = 0
        for flight in queue:
            if taken >= budget:
                break
            if flight.prompt_left == flight.isl:
                if not self._has_seat(rank, flight):
                    break
                self._sit(rank, flight)
            tokens = min(flight.prompt_left, budget - taken)
            self._chunks.append((flight, tokens))
            taken += tokens
        return taken

    def _read(self, flight: Flight, now_s: float) -> list[Flight]:
        """The prompt is read: it leaves a prefill engine; a mixed one has written its first token with it."""
        self._queues[flight.rank].popleft()
        if self.model.role is Role.PREFILL:
            flight.prefilled_s = now_s
            return [self._done(flight, now_s)]
        flight.first_s = now_s
        if flight.osl == 1:
            return [self._done(flight, now_s)]
        self._decode(flight, flight.isl + 1, flight.osl - 1)
        return []

    def _decode(self, flight: Flight, context: int, tokens: int) -> None:
        flight.decoder, flight.first_step = self.index, self.steps
        self._decoding[flight.rank] += 1
        self._context[flight.rank] += context
        heappush(self._finishing, (self.steps + tokens, flight.number, flight))

    def _done(self, flight: Flight, now_s: float) -> Flight:
        rank = flight.rank
        self._in_hand[rank] -= 1
        self._seated[rank] -= 1
        self._reserved[rank] -= flight.isl + flight.osl
        if self.model.role is not Role.PREFILL:
            flight.done_s = now_s
        return flight


def _step_s(
    constants: StepConstants, most_decoding: int, most_context: int, most_prompt: int, all_prompt: int, landed: int
) -> float:
    """`step_time_s` on what is known here already, without building a load per rank."""
    total = constants.landed_per_token_s * landed
    if most_decoding:
        total += constants.decode_s + constants.decode_per_seq_s * most_decoding
        total += constants.decode_per_context_token_s * most_context
    if most_prompt:
        total += constants.prefill_s + constants.prefill_per_token_s * most_prompt
        total += constants.prefill_per_token_of_all_s * all_prompt
    return total
