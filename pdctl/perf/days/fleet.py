"""A virtual fleet: engines of the performance model whose roles change while requests come in.

It plays hours in seconds of CPU, iteration by iteration: the engines are those of `pdctl.perf.simulate` and leap over
steps that are alike. A turn of an instance goes as a move does: no new request, finish those in hand (of a decode
instance also those that a router has promised to it), restart, then the other role.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from heapq import heappop, heappush
from itertools import count as counter

from pdctl.model.deployment import Slo
from pdctl.model.role import Role
from pdctl.perf.days.ratio import Ratio
from pdctl.perf.days.seen import Seen, Tally, Turned
from pdctl.perf.engine_run import EngineRun, Flight
from pdctl.perf.layout import InstanceModel, Placement, TransferModel
from pdctl.perf.profile import Profile
from pdctl.perf.workload import Workload


@dataclass(frozen=True, slots=True)
class FleetModel:
    """`models` of one instance in each role. `pair_ahead`: the router picks the decode instance before the prefill leg,
    as vllm-router 0.1.17 does, so that a drain waits for what is promised. `queue_limit`: so many requests at most in
    hand of a reading instance, then an offer is refused (None: never)."""

    models: Mapping[Role, InstanceModel]
    transfer: TransferModel
    pair_ahead: bool = True
    queue_limit: int | None = None

    @classmethod
    def of(cls, profile: Profile, *, queue_limit: int | None = None) -> FleetModel:
        """Instances as the profile has them. Colocated ones place sequences on any rank, as the published runs are met
        best; the router gives a request to the instance with least in hand."""
        models = {role: profile.instance(role) for role in Role}
        models[Role.MIXED] = replace(models[Role.MIXED], placement=Placement.RANDOM)
        return cls(models, profile.transfer, queue_limit=queue_limit)


class State(StrEnum):
    SERVING = "serving"
    DRAINING = "draining"
    RESTARTING = "restarting"


@dataclass(slots=True, eq=False)
class Station:
    """One instance's place: what runs there now, and its history of turns. `promised`: decode legs to come."""

    index: int
    engine: EngineRun
    state: State = State.SERVING
    promised: int = 0
    turns: list[float] = field(default_factory=list)

    @property
    def role(self) -> Role:
        return self.engine.model.role

    @property
    def load(self) -> int:
        return self.engine.in_hand + self.promised


Control = Callable[[Seen], Role | None]
"""Called at every tick with what a telemetry would show; the role that shall give an instance up, or None."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a day. `met[n]`: whether request n met both targets; a refused one did not."""

    offered: Sequence[float]
    met: Sequence[bool]
    turned: Sequence[Turned]
    refused: int
    span_s: float

    @property
    def attainment(self) -> float:
        return sum(self.met) / len(self.met) if self.met else 1.0

    @property
    def goodput_per_s(self) -> float:
        return sum(self.met) / self.span_s if self.span_s else 0.0

    @property
    def reversals(self) -> int:
        """How often an instance turned back to a role that it had had."""
        turns: dict[int, int] = {}
        for each in self.turned:
            turns[each.station] = turns.get(each.station, 0) + 1
        return sum(count - 1 for count in turns.values())

    @property
    def reversals_per_h(self) -> float:
        return self.reversals / (self.span_s / 3600.0) if self.span_s else 0.0


_END, _LAND, _UP, _TICK = range(4)


class VirtualFleet:
    """`start` None: every instance is colocated, and nothing can move. One `play` per fleet; deterministic."""

    def __init__(
        self, model: FleetModel, instances: int, start: Ratio | None, slo: Slo, *, restart_s: float, seed: int = 0
    ) -> None:
        if start is not None and (start.total != instances or not start.prefill or not start.decode):
            raise ValueError(f"{start} is no split of {instances} instances")
        self.model, self.slo, self.restart_s = model, slo, restart_s
        self._dice = random.Random(seed)
        roles = [Role.MIXED] * instances
        if start is not None:
            roles = [Role.PREFILL] * start.prefill + [Role.DECODE] * start.decode
        self.stations = [Station(index, self._engine(role, index)) for index, role in enumerate(roles)]
        self._by_role: dict[Role, list[Station]] = {}
        self._sort_by_role()
        self._order = counter()
        self._events: list[tuple[float, int, int, Station | None, int, Flight | None]] = []
        self._tally = Tally()
        self.turned: list[Turned] = []
        self._turning: Turned | None = None
        self._writers: dict[int, Station] = {}
        self._stranded: deque[Flight] = deque()

    def _engine(self, role: Role, index: int) -> EngineRun:
        return EngineRun(self.model.models[role], index, self._dice)

    def _sort_by_role(self) -> None:
        serving = [each for each in self.stations if each.state is State.SERVING]
        self._by_role = {role: [each for each in serving if each.role is role] for role in Role}

    @property
    def ratio(self) -> Ratio:
        """Who serves now."""
        return Ratio(len(self._by_role[Role.PREFILL]), len(self._by_role[Role.DECODE]))

    def play(self, workload: Workload, control: Control | None = None, *, every_s: float = 30.0) -> Played:
        """Offer the workload to its end, and let everything finish."""
        asked = workload.asked
        self._met = bytearray(len(asked))
        self._last_tick_s = 0.0
        last_s = asked[-1].at_s if asked else 0.0
        refused, place, events = 0, 0, self._events
        if control is not None:
            self._at(every_s, _TICK)
        while place < len(asked) or events:
            if place < len(asked) and (not events or asked[place].at_s <= events[0][0]):
                one = asked[place]
                self._tally.offer(one.isl)
                refused += not self._offer(Flight(place, one.isl, one.osl, one.at_s), one.at_s)
                place += 1
                continue
            now_s, _, kind, station, version, flight = heappop(events)
            if kind == _END:
                assert station is not None
                if version == station.engine.version and station.engine.ends_s is not None:
                    self._end(station, now_s)
            elif kind == _LAND:
                assert flight is not None
                self._land(flight, now_s)
            elif kind == _UP:
                assert station is not None
                self._up(station, now_s)
            elif now_s <= last_s and control is not None:
                self._tick(control, now_s)
                self._at(now_s + every_s, _TICK)
        met = [bool(each) for each in self._met]
        return Played([one.at_s for one in asked], met, self.turned, refused, last_s)

    def _at(
        self, time_s: float, kind: int, station: Station | None = None, version: int = 0, flight: Flight | None = None
    ) -> None:
        heappush(self._events, (time_s, next(self._order), kind, station, version, flight))

    # Requests

    def _offer(self, flight: Flight, now_s: float) -> bool:
        """Give it to a reading instance; False where all their queues are full."""
        readers = self._by_role[Role.PREFILL] or self._by_role[Role.MIXED]
        if not readers:
            self._stranded.append(flight)
            return True
        reader = min(readers, key=_load)
        limit = self.model.queue_limit
        if limit is not None and reader.engine.in_hand >= limit:
            return False
        flight.sent_s = now_s
        if self.model.pair_ahead and reader.role is Role.PREFILL:
            writers = self._by_role[Role.DECODE]
            writer = min(writers, key=_load)
            writer.promised += 1
            self._writers[flight.number] = writer
        self._hand(reader, flight, now_s)
        return True

    def _land(self, flight: Flight, now_s: float) -> None:
        writer = self._writers.pop(flight.number, None)
        if writer is None:
            writer = min(self._by_role[Role.DECODE], key=_load)
        else:
            writer.promised -= 1
        self._hand(writer, flight, now_s)

    def _hand(self, station: Station, flight: Flight, now_s: float) -> None:
        engine = station.engine
        idle = engine.ends_s is None
        engine.arrive(flight)
        if idle:
            self._begin(station, now_s)
        elif engine.cut(now_s):
            assert engine.ends_s is not None
            self._at(engine.ends_s, _END, station, engine.version)

    def _begin(self, station: Station, now_s: float) -> None:
        ends_s = station.engine.begin(now_s)
        if ends_s is not None:
            self._at(ends_s, _END, station, station.engine.version)

    def _end(self, station: Station, now_s: float) -> None:
        engine = station.engine
        for flight in engine.end():
            if station.role is Role.PREFILL:
                self._at(now_s + self.model.transfer.after_prefill_s(flight.isl), _LAND, flight=flight)
            else:
                self._done(flight)
        engine.stretches.clear()
        self._begin(station, now_s)
        if station.state is State.DRAINING:
            self._drained(station, now_s)

    def _done(self, flight: Flight) -> None:
        assert flight.first_s is not None
        assert flight.done_s is not None
        ttft_s = flight.first_s - flight.at_s
        tpot_s = (flight.done_s - flight.first_s) / (flight.osl - 1) if flight.osl > 1 else 0.0
        in_ttft, in_tpot = ttft_s <= self.slo.ttft_s, tpot_s <= self.slo.itl_s
        self._met[flight.number] = in_ttft and in_tpot
        self._tally.finish(flight.osl, in_ttft, in_tpot)

    # Turns

    def _tick(self, control: Control, now_s: float) -> None:
        readers, writers = self._by_role[Role.PREFILL], self._by_role[Role.DECODE]
        donor = control(
            self._tally.seen(
                at_s=now_s,
                over_s=now_s - self._last_tick_s,
                ratio=self.ratio,
                moving=self._turning.donor if self._turning else None,
                reading=sum(each.engine.in_hand for each in readers) + len(self._stranded),
                writing=sum(each.engine.in_hand for each in writers),
            )
        )
        self._last_tick_s = now_s
        if donor is not None and self._turning is None and len(self._by_role[donor]) > 1:
            station = min(self._by_role[donor], key=_load)
            station.state = State.DRAINING
            self._turning = Turned(station.index, donor, now_s)
            self._sort_by_role()
            self._drained(station, now_s)

    def _drained(self, station: Station, now_s: float) -> None:
        """Begin the restart when nothing is in hand and nothing promised."""
        if station.load == 0 and station.engine.ends_s is None:
            station.state = State.RESTARTING
            assert self._turning is not None
            self._turning = replace(self._turning, drained_s=now_s)
            self._at(now_s + self.restart_s, _UP, station)

    def _up(self, station: Station, now_s: float) -> None:
        assert self._turning is not None
        role = station.role.opposite
        assert role is not None
        station.engine = self._engine(role, station.index)
        station.state = State.SERVING
        self.turned.append(replace(self._turning, up_s=now_s))
        self._turning = None
        self._sort_by_role()
        while self._stranded:
            self._offer(self._stranded.popleft(), now_s)


def _load(station: Station) -> int:
    return station.engine.in_hand + station.promised
