"""Real vLLM passes the checks that the simulated engine passes (tests/wire/test_sim_conformance.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conformance import endings, serving
from tests.real.engine import real_engine
from tests.real.figures import Figures
from tests.wire.sim_engines import Engine


@asynccontextmanager
async def one_engine(directory: Path, figures: Figures, *flags: str) -> AsyncIterator[Engine]:
    """Its start is a figure of the run."""

    def started(took_s: float) -> None:
        figures.starts.append(f"one alone {took_s:.1f} s")

    async with real_engine(directory, *flags, on_ready=started) as one:
        yield one


async def test_serving_and_sigterm(tmp_path: Path, figures: Figures) -> None:
    failed: list[str] = []
    async with one_engine(tmp_path, figures) as one:
        for check in serving.CHECKS:  # one engine for all: each start costs half a minute of CPU
            try:
                await check(one)
            except AssertionError as error:
                failed.append(f"{check.__name__}: {error}")
        assert not failed, "\n\n".join(failed)
        said = await endings.sigterm_loses_every_stream(one)
        seen = "answers end with finish_reason abort" if said else "the engine core was killed first: silence"
        figures.notes.append(f"SIGTERM without --shutdown-timeout, nine streams: {seen}")


async def test_sigterm_with_a_shutdown_timeout(tmp_path: Path, figures: Figures) -> None:
    async with one_engine(tmp_path, figures, "--shutdown-timeout", "60") as one:
        await endings.sigterm_drains(one)


async def test_worker_killed(tmp_path: Path, figures: Figures) -> None:
    async with one_engine(tmp_path, figures, "--shutdown-timeout", "60") as one:
        await endings.a_killed_worker_fails_streams_by_an_error_in_them(one)
