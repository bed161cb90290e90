"""The built-in driver measures what happened: against a server in a process of its own that keeps a known script."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from pdctl.bench.drivers.builtin import BuiltinDriver
from pdctl.bench.figures.figures import Figures
from pdctl.bench.figures.measure import figures
from pdctl.bench.figures.spread import Spread
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.model.outcome import Outcome
from pdctl.perf.workload import Asked, Workload
from tests.waiting import patient
from tests.wire.timed_server import script


@pytest.fixture
async def timed_url() -> AsyncIterator[str]:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.wire.timed_server", stdin=pipe, stdout=pipe
    )
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        yield f"http://127.0.0.1:{int(await child.stdout.readline())}"
    finally:
        child.stdin.close()
        await child.wait()


def truth(index: int, asked: Asked, sent_s: float) -> Row:
    timing = script(asked.isl)
    gaps_s = (timing.gap_s,) * (asked.osl - 1)
    e2el_s = timing.ttft_s + sum(gaps_s)
    return Row(
        index, "t", asked.at_s, sent_s, asked.isl, asked.osl, Outcome.OK, timing.ttft_s, e2el_s, gaps_s, asked.osl,
        asked.isl,
    )  # fmt: skip


def spreads(of: Figures) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in ("ttft", "itl", "tpot", "e2el"):
        spread = getattr(of, name)
        assert isinstance(spread, Spread)
        found |= {f"{name} {part}": getattr(spread, f"{part}_s") for part in ("mean", "median", "p90", "p99")}
    return found | {"in flight": of.in_flight_mean, "requests/s": of.requests_per_s, "tokens/s": of.tps_total}


async def compare(url: str, asked: list[Asked]) -> tuple[dict[str, tuple[float, float]], float]:
    """Figure -> (measured, true), and how many seconds it took in truth. Fails where a request failed or a count is not
    the true one."""
    point = Point("here", "timed", "x", 0, Workload(tuple(asked)))
    driver = BuiltinDriver(warm_up=1)
    measured = await driver.run(point, Target(url, "tiny"), on_row=lambda _: None, stop=lambda: False)
    assert measured.lag_p99_s is not None
    assert measured.lag_p99_s < patient(0.02)
    true_rows = [truth(row.index, asked[row.index], row.sent_s) for row in measured.rows]
    assert max(row.queued_s for row in measured.rows) < patient(0.3)
    took_s = max(row.sent_s + row.e2el_s for row in true_rows)
    mine, true = figures(measured.rows, measured.took_s), figures(true_rows, took_s)
    assert (mine.counts, mine.tokens_in, mine.tokens_out) == (true.counts, true.tokens_in, true.tokens_out)
    assert [len(row.gaps_s) for row in measured.rows] == [len(row.gaps_s) for row in true_rows]
    both = spreads(mine), spreads(true)
    return {name: (both[0][name], both[1][name]) for name in both[1]}, took_s


INTERVAL_S = 0.04
"""The shortest between two tokens of the script."""


def wrong(found: dict[str, tuple[float, float]], took_s: float) -> dict[str, tuple[float, float]]:
    """What is off by more than 1 %: a latency by more than one token interval as well, unless it is the middle of many
    intervals; a rate by more than one interval does to the whole duration."""
    middles = {"itl mean", "itl median", "tpot mean", "tpot median"}
    latencies = {name for name in found if name.split()[-1] in ("mean", "median", "p90", "p99")}
    return {
        name: (mine, true)
        for name, (mine, true) in found.items()
        if abs(mine - true) > max(patient(0.01) * true, _interval(name, true, took_s, latencies - middles))
    }


def _interval(name: str, true: float, took_s: float, latencies: set[str]) -> float:
    """What one token interval makes of a figure."""
    if name in latencies:
        return INTERVAL_S
    return 0.0 if name.startswith(("itl", "tpot")) else true * INTERVAL_S / took_s


async def test_every_figure_of_50_streams(timed_url: str) -> None:
    """An open loop: one request every 10 ms."""
    found, took_s = await compare(timed_url, [Asked(n * 0.01, 1 + n, 20) for n in range(50)])
    assert wrong(found, took_s) == {}


@pytest.mark.slow
async def test_every_figure_of_500_streams_at_once(timed_url: str) -> None:
    """10,000 tokens a second; all requests are sent at the same moment."""
    found, took_s = await compare(timed_url, [Asked(0.0, 1 + n, 200) for n in range(500)])
    assert wrong(found, took_s) == {}
