"""The built-in load runner: a closed loop of clients on one event loop."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable

from pdctl.bench.client import open_client, send
from pdctl.bench.prompts import body
from pdctl.bench.report import summarise
from pdctl.model.load import LoadReport, LoadSpec
from pdctl.model.outcome import Outcome, RequestResult


async def run_load(
    spec: LoadSpec,
    on_result: Callable[[RequestResult], None] | None = None,
    stop: Callable[[], bool] | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> LoadReport:
    """Run `spec` to its end, or until `stop` says so (a `model.load.LoadRunner`). `clock` counts seconds and never goes
    back.

    What `on_result` raises ends the load at once, as an ExceptionGroup; requests in flight are then dropped.
    """
    results: list[RequestResult] = []
    indices = itertools.count() if spec.requests is None else iter(range(spec.requests))
    started_s = clock()

    async with open_client(spec.url, connections=spec.concurrency) as client:

        async def work() -> None:
            refused = False
            for index in indices:  # shared: each index is taken once
                if spec.duration_s is not None and clock() - started_s >= spec.duration_s:
                    return
                if stop is not None and stop():
                    return
                asked = body(spec, index)
                # A server that refuses may be about to end: what is sent on a connection that it is just closing would
                # look like a cut answer.
                result = await send(client, spec.api.path, asked, deadline_s=spec.deadline_s, clock=clock, last=refused)
                refused = result.outcome is Outcome.REFUSED
                results.append(result)
                if on_result is not None:
                    on_result(result)
                if refused:
                    await asyncio.sleep(spec.refused_pause_s)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(spec.concurrency):
                tasks.create_task(work())
        took_s = clock() - started_s
    return summarise(results, took_s)
