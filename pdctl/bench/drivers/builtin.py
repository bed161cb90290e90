"""The built-in driver: an open or closed loop of streamed requests on one event loop."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable
from dataclasses import replace

from pdctl.bench.driver import REFUSED_PAUSE_S, Measured
from pdctl.bench.drivers.endpoint import endpoint_of, resolve
from pdctl.bench.drivers.lag import LagMeter
from pdctl.bench.drivers.question import Questions
from pdctl.bench.drivers.row_of import row_of
from pdctl.bench.drivers.schedule import offer
from pdctl.bench.drivers.stall import StallWatch
from pdctl.bench.drivers.stream_client import StreamClient
from pdctl.bench.drivers.warm_up import warm_up_of
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.control.without_gc import without_gc
from pdctl.errors import BenchError
from pdctl.model.outcome import Outcome
from pdctl.perf.workload import Asked, Workload

WARM_UP = 2
STALL_S = 120.0
_LOOKS = 20  # at a stall, while it comes about
_SPARE_FILES = 64


class BuiltinDriver:
    """A `bench.driver.Driver`. Before the measured part it sends `warm_up` requests per shape, which are not counted
    (0: none). A point for which no byte came for `stall_s`, with requests in flight, ends: they are cut, and named."""

    name = "builtin"

    def __init__(
        self,
        *,
        warm_up: int = WARM_UP,
        stall_s: float = STALL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._warm_up = warm_up
        self._stall_s = stall_s
        self._clock = clock

    async def run(
        self,
        point: Point,
        target: Target,
        *,
        on_row: Callable[[Row], None],
        stop: Callable[[], bool],
    ) -> Measured:
        """Raises BenchError for a URL that is none, a host without an address, and where this machine has no more
        sockets; what `on_row` raises as an ExceptionGroup."""
        endpoint = endpoint_of(target.url)
        addresses = await resolve(endpoint)
        tls = endpoint.tls()

        async def play(played: Point, name: str, tell: Callable[[Row], None]) -> Measured:
            longest = max((one.isl for one in played.workload.asked), default=1)
            salt = f"{name}/{point.scenario}/{point.load}/{point.seed}"
            questions = Questions(target, endpoint, salt=salt, longest=longest)
            client = StreamClient(addresses, clock=self._clock, tls=tls, server_name=endpoint.host)
            try:
                return await _Load(played, client, questions, self._clock, tell, self._stall_s).run(stop)
            except ExceptionGroup as several:
                if ours := several.subgroup(BenchError):
                    raise _first(ours) from several
                raise
            finally:
                client.close()

        _allow_files(point.workload.concurrency, len(point.workload.asked))
        first = warm_up_of(point.workload.asked, self._warm_up)
        warm = replace(point, workload=Workload(first, self._warm_up), indices=None, duration_s=None)
        if first and (stall := (await play(warm, "warm-up", _ignore)).stall):
            return Measured((), 0.0, stall=f"in the warm-up, {stall}")
        return await play(point, "load", on_row)


class _Load:
    """One workload on its way."""

    def __init__(
        self,
        point: Point,
        client: StreamClient,
        questions: Questions,
        clock: Callable[[], float],
        on_row: Callable[[Row], None],
        stall_s: float,
    ) -> None:
        self._point = point
        self._client = client
        self._questions = questions
        self._clock = clock
        self._on_row = on_row
        self._stall_s = stall_s
        self._watch = StallWatch(stall_s)
        self._stall = ""
        self._rows: list[Row] = []
        self._begun_s = self._ended_s = clock()

    async def run(self, stop: Callable[[], bool]) -> Measured:
        await self._client.open(_sent_first(self._point.workload))
        self._begun_s = self._ended_s = self._clock()
        look = asyncio.create_task(self._look())
        try:
            with without_gc(), LagMeter() as lag:
                whole = await offer(
                    self._point.workload,
                    self._send,
                    begun_s=self._begun_s,
                    clock=self._clock,
                    halt=lambda: bool(self._stall) or self._over() or stop(),
                )
        finally:
            look.cancel()
        return Measured(
            rows=tuple(sorted(self._rows, key=lambda row: row.index)),
            took_s=self._ended_s - self._begun_s,
            stopped=not whole and not self._stall and not self._over(),
            stall=self._stall,
            lag_p99_s=lag.p99_s(),
        )

    def _over(self) -> bool:
        """Whether the point's time is up: it is whole then, however many were sent."""
        duration_s = self._point.duration_s
        return duration_s is not None and self._clock() - self._begun_s >= duration_s

    async def _send(self, position: int, asked: Asked) -> None:
        index = self._point.index(position)
        request = self._questions.request(index, asked)
        self._watch.sent(index, self._clock())
        try:
            exchange = await self._client.ask(request, deadline_s=self._point.deadline_s)
        finally:
            self._watch.ended(index)
        self._ended_s = max(self._ended_s, exchange.ended_s)
        row = row_of(index, asked, exchange, begun_s=self._begun_s, at_s=asked.at_s)
        self._rows.append(row)
        self._on_row(row)
        if row.outcome is Outcome.REFUSED and self._point.workload.concurrency is not None:
            await asyncio.sleep(REFUSED_PAUSE_S)

    async def _look(self) -> None:
        while not self._stall:
            await asyncio.sleep(self._stall_s / _LOOKS)
            self._stall = self._watch.stalled(self._clock(), self._client.heard_s)
        self._client.give_up(f"the load stalled: nothing came for {self._stall_s:g} s for any request")


def _sent_first(workload: Workload) -> int:
    """How many requests are sent at the very beginning."""
    first = sum(one.at_s == workload.asked[0].at_s for one in workload.asked) if workload.asked else 0
    return first if workload.concurrency is None else min(first, workload.concurrency)


def _ignore(_: Row) -> None:
    """Of the warm-up nothing is kept: what fails there fails in what is measured, too."""


def _first(errors: ExceptionGroup[BenchError]) -> BenchError:
    one = errors.exceptions[0]
    return _first(one) if isinstance(one, ExceptionGroup) else one


def _allow_files(concurrency: int | None, requests: int) -> None:
    """Many systems allow a process 1,024 open files until it asks for more. Raises BenchError where a closed loop needs
    more than it can get; of an open loop nobody knows beforehand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(concurrency or requests, requests) + _SPARE_FILES
    if concurrency is not None and hard != resource.RLIM_INFINITY and wanted > hard:
        raise BenchError(
            f"{wanted - _SPARE_FILES} requests at once need as many open files, and this machine allows {hard}",
            hint="raise the hard limit: `ulimit -Hn`",
        )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
