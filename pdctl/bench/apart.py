"""A load in a process of its own, so that a screen on the same machine stays quick while it runs.

The child reads its LoadSpec as a line of JSON, then sends a line per ended request and one with the report. A line or
the end of its input asks it to stop: nothing is left running when its owner dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from pdctl.bench.load import run_load
from pdctl.model.load import Api, LoadReport, LoadSpec, PromptKind, Quantiles
from pdctl.model.outcome import Outcome, OutcomeCounts, RequestResult

_LOOK_S = 0.2
_LINE_BYTES = 1 << 24


async def run_load_apart(
    spec: LoadSpec,
    on_result: Callable[[RequestResult], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> LoadReport:
    """As `bench.load.run_load`, in a child process (a `model.load.LoadRunner`).

    Raises RuntimeError, with its last words, if the child ends without a report.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pdctl.bench.apart",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
        start_new_session=True,  # the terminal's Ctrl-C is for the owner, which asks it to stop
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    words = asyncio.create_task(child.stderr.read())
    asking = asyncio.create_task(_ask(child.stdin, stop)) if stop is not None else None
    try:
        child.stdin.write(json.dumps(asdict(spec)).encode() + b"\n")
        async for line in child.stdout:
            said = json.loads(line)
            if "report" in said:
                return _report(said["report"])
            if on_result is not None:
                on_result(_result(said))
        raise RuntimeError(f"the load ended without a report: {(await words).decode(errors='replace')[-500:]}")
    finally:
        if asking is not None:
            asking.cancel()
        words.cancel()
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def _ask(stdin: asyncio.StreamWriter, stop: Callable[[], bool]) -> None:
    while not stop():  # noqa: ASYNC110 - a LoadRunner's caller has nothing to wait for, only this to ask
        await asyncio.sleep(_LOOK_S)
    with contextlib.suppress(ConnectionError):
        stdin.write(b"stop\n")
        await stdin.drain()


def _result(said: Mapping[str, Any]) -> RequestResult:
    return RequestResult(**{**said, "outcome": Outcome(said["outcome"]), "itls_s": tuple(said["itls_s"])})


def _report(said: Mapping[str, Any]) -> LoadReport:
    spans = {name: None if said[name] is None else Quantiles(**said[name]) for name in ("ttft", "itl", "e2el")}
    failures = tuple((str(detail), int(count)) for detail, count in said["failures"])
    return LoadReport(**{**said, **spans, "counts": OutcomeCounts(**said["counts"]), "failures": failures})


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    asked = json.loads(sys.stdin.readline())
    spec = LoadSpec(**{**asked, "api": Api(asked["api"]), "prompt": PromptKind(asked["prompt"])})
    stopped = asyncio.Event()
    loop.add_reader(sys.stdin, stopped.set)

    def tell(said: object) -> None:
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()

    report = await run_load(spec, lambda result: tell(asdict(result)), stopped.is_set)
    tell({"report": asdict(report)})


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        asyncio.run(_serve())
