"""When a load's requests are sent: by the schedule, whatever the server does; and never more at once than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from pdctl.bench.drivers.schedule import offer
from pdctl.bench.drivers.stall import StallWatch
from pdctl.bench.drivers.warm_up import warm_up_of
from pdctl.perf.workload import Asked, Workload
from tests.crash.virtual_time import run


class Server:
    """Takes `slow_s` for each request; keeps when each was sent, and the most that it had at once."""

    def __init__(self, slow_s: float) -> None:
        self.slow_s = slow_s
        self.sent_s: list[float] = []
        self.at_once = self.most = 0

    def has_some(self) -> bool:
        return bool(self.sent_s)

    async def send(self, position: int, asked: Asked) -> None:
        assert position == len(self.sent_s), "in order"
        self.sent_s.append(round(asyncio.get_running_loop().time(), 6))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(self.slow_s)
        self.at_once -= 1


def offered(
    server: Server, at_s: Sequence[float], concurrency: int | None = None, halt: Callable[[], bool] = lambda: False
) -> tuple[bool, float]:
    """Whether all was sent, and when the last request had ended, in virtual seconds."""

    async def scenario() -> tuple[bool, float]:
        clock = asyncio.get_running_loop().time
        workload = Workload(tuple(Asked(one, 1, 1) for one in at_s), concurrency)
        whole = await offer(workload, server.send, begun_s=clock(), clock=clock, halt=halt)
        return whole, round(clock(), 6)

    return run(scenario())


def test_a_slow_server_moves_no_request_of_an_open_loop() -> None:
    server = Server(slow_s=1000.0)
    due_s = [0.0, 0.001, 0.5, 0.5, 7.25, 600.0]
    assert offered(server, due_s) == (True, 1600.0)
    assert server.sent_s == due_s


def test_a_closed_loop_keeps_its_places_filled() -> None:
    server = Server(slow_s=2.0)
    assert offered(server, [0.0] * 7, concurrency=3) == (True, 6.0)
    assert server.sent_s == [0.0] * 3 + [2.0] * 3 + [4.0]
    assert server.most == 3


def test_what_waits_for_a_place_is_sent_late_and_what_comes_after_is_not() -> None:
    server = Server(slow_s=5.0)
    offered(server, [0.0, 1.0, 2.0, 20.0], concurrency=1)
    assert server.sent_s == [0.0, 5.0, 10.0, 20.0]


def test_a_halt_ends_waiting_for_a_time_and_for_a_place() -> None:
    for at_s, concurrency in (([0.0, 3000.0], None), ([0.0, 0.0], 1)):
        server = Server(slow_s=50.0)
        whole, ended_s = offered(server, at_s, concurrency, halt=server.has_some)
        assert (whole, len(server.sent_s), ended_s) == (False, 1, 50.0)  # what is in flight ends whole


def test_a_failure_of_ours_ends_the_load() -> None:
    async def send(position: int, asked: Asked) -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        workload = Workload((Asked(0.0, 1, 1), Asked(9000.0, 1, 1)))
        clock = asyncio.get_running_loop().time
        await offer(workload, send, begun_s=0.0, clock=clock, halt=lambda: False)

    with pytest.raises(ExceptionGroup) as raised:
        run(scenario())
    assert raised.group_contains(ZeroDivisionError)


def test_a_stall_is_silence_while_something_is_in_flight() -> None:
    watch = StallWatch(limit_s=10.0)
    assert watch.stalled(1000.0, heard_s=0.0) == ""  # nothing was sent
    watch.sent(3, now_s=1000.0)
    watch.sent(4, now_s=1008.0)
    assert watch.stalled(1009.9, heard_s=0.0) == ""
    assert watch.stalled(1015.0, heard_s=1006.0) == ""  # one of them gets tokens
    assert watch.stalled(1016.0, heard_s=1006.0) == "nothing came for 10 s for any of 2 requests in flight: #3, #4"
    watch.ended(3)
    watch.ended(4)
    watch.sent(5, now_s=2000.0)
    assert watch.stalled(2009.0, heard_s=1006.0) == ""  # the server was idle, not silent


def test_the_warm_up_has_every_shape_once_and_short_answers() -> None:
    asked = [Asked(0.0, isl, osl) for isl, osl in ((1000, 8000), (1023, 8000), (8000, 10), (9, 1), (8001, 10))]
    warm = warm_up_of(asked, 2)
    assert [(one.isl, one.osl) for one in warm] == [(8001, 10)] * 2 + [(1023, 32)] * 2 + [(9, 1)] * 2
    assert warm_up_of(asked, 0) == ()
