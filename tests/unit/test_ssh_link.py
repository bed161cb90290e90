"""A held connection: when it is dialled, by whom, and when not again."""

from __future__ import annotations

import asyncio
import random

import pytest

from pdctl.errors import AuthRefused, Unreachable
from pdctl.ssh.link import Link


class _Connection:
    def __init__(self) -> None:
        self.closed = False

    def is_closed(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    async def wait_closed(self) -> None:
        return None


class _Dialler:
    """Fails as scripted, then connects."""

    def __init__(self, *failures: Unreachable) -> None:
        self.failures = list(failures)
        self.dials = 0

    async def __call__(self) -> _Connection:
        self.dials += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        return _Connection()


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _link(dialler: _Dialler, clock: _Clock) -> Link:
    return Link(dialler, clock=clock, rng=random.Random(1))  # type: ignore[arg-type]


async def test_one_dial_serves_all_who_wait() -> None:
    dialler = _Dialler()
    link = _link(dialler, _Clock())
    connections = await asyncio.gather(*(link.connection() for _ in range(5)))
    assert len({id(one) for one in connections}) == 1
    assert dialler.dials == 1


async def test_a_lost_connection_is_dialled_again_at_once() -> None:
    dialler = _Dialler()
    link = _link(dialler, _Clock())
    (await link.connection()).close()
    assert not (await link.connection()).is_closed()
    assert dialler.dials == 2


async def _backoff_s(link: Link, dialler: _Dialler, clock: _Clock) -> float:
    """Ask every 50 ms of the fake clock until there is a dial; how long that took."""
    since, dials = clock.now, dialler.dials
    while dialler.dials == dials:
        clock.now += 0.05
        with pytest.raises(Unreachable, match="refused"):
            await link.connection()
    return clock.now - since


async def test_a_failure_is_repeated_until_its_backoff_has_passed_and_backoffs_grow() -> None:
    dialler, clock = _Dialler(*(Unreachable("n1", "refused") for _ in range(9))), _Clock()
    link = _link(dialler, clock)
    with pytest.raises(Unreachable, match="refused"):
        await link.connection()
    backoffs_s = [await _backoff_s(link, dialler, clock) for _ in range(8)]
    assert 0.25 <= backoffs_s[0] <= 0.55
    assert 5.0 <= backoffs_s[-1] <= 10.1
    clock.now += 10
    assert await link.connection()


async def test_a_refused_login_is_for_good() -> None:
    dialler, clock = _Dialler(AuthRefused("n1", "no")), _Clock()
    link = _link(dialler, clock)
    for _ in range(3):
        with pytest.raises(AuthRefused):
            await link.connection()
        clock.now += 1e9
    assert dialler.dials == 1


async def test_who_gives_up_does_not_stop_the_dial_of_the_others() -> None:
    dialler = _Dialler()
    link = _link(dialler, _Clock())
    first, second = asyncio.create_task(link.connection()), asyncio.create_task(link.connection())
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    assert dialler.dials == 1


async def test_close_ends_a_dial_under_way() -> None:
    started = asyncio.Event()

    async def never() -> _Connection:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    link = Link(never)  # type: ignore[arg-type]
    waiting = asyncio.create_task(link.connection())
    await started.wait()
    await asyncio.wait_for(link.close(), 1)
    with pytest.raises((asyncio.CancelledError, Unreachable)):
        await waiting
