"""The driver that lets `vllm bench serve` send the load, on a node or on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pdctl.bench.driver import Measured
from pdctl.bench.drivers.means import Means
from pdctl.bench.drivers.tool import Job, ToolFailed, refuse_duration, run_tool
from pdctl.bench.drivers.trace import Trace, tool_seed, trace
from pdctl.bench.drivers.vllm_serve_argv import (
    RESULT,
    TOOL,
    TRACE,
    Dialect,
    dialect_for,
    request_prefix,
    vllm_serve_argv,
)
from pdctl.bench.drivers.vllm_serve_rows import read_result, rows_of, summary
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.errors import BenchError

_INSTALL = "`pip install vllm` there, or say where it is: `--driver-program /opt/vllm/bin/vllm`"
_STARTING_S = 600.0  # importing vLLM and loading a tokenizer, cold
_UNKNOWN_DATA_SET = re.compile(r"invalid choice: '?timed_trace|unrecognized arguments:.*--timed-trace")


@dataclass(slots=True)
class VllmServe:
    """See `Driver`. `stop` kills the tool, which cannot be asked to end whole: the point then has no rows."""

    means: Means = field(default_factory=Means)
    name: str = "vllm"
    _knows_traces: bool = True

    async def run(
        self, point: Point, target: Target, *, on_row: Callable[[Row], None], stop: Callable[[], bool]
    ) -> Measured:
        """Raises BenchError where the tool cannot run or cannot play the workload; NodeError where the node cannot be
        reached."""
        refuse_duration(point, TOOL)
        if self._knows_traces and dialect_for(target) is Dialect.TRACE:
            try:
                return await self._run(point, target, trace(point), on_row, stop)
            except ToolFailed as failed:
                if not _UNKNOWN_DATA_SET.search(failed.said):
                    raise
                self._knows_traces = False
        return await self._run(point, target, None, on_row, stop)

    async def _run(
        self,
        point: Point,
        target: Target,
        played: Trace | None,
        on_row: Callable[[Row], None],
        stop: Callable[[], bool],
    ) -> Measured:
        program, tokenizer = self.means.program or ("vllm",), self.means.tokenizer
        argv = vllm_serve_argv(program, point, target, tokenizer=tokenizer, played=played)
        environment = {"PYTHONHASHSEED": str(tool_seed(point))}  # what the tool makes prompts of a trace's ids with
        if target.api_key:
            environment["OPENAI_API_KEY"] = target.api_key
        job = Job(
            TOOL,
            argv,
            _INSTALL,
            files={TRACE: played.lines} if played else {},
            environment=environment,
            quiet_s=_STARTING_S + point.deadline_s + point.workload.span_s,
        )
        ended = await run_tool(self.means.shell, job, stop=stop, on_progress=self.means.on_progress)
        if ended.stopped:
            return Measured((), 0.0, stopped=True)
        if RESULT not in ended.files:
            raise BenchError(f"{TOOL} ended without a result", hint="run it by hand and look at what it prints")
        result, raw = read_result(ended.files[RESULT])
        rows = rows_of(result, point, exact=played is not None, prefix=request_prefix(point))
        for row in rows:
            on_row(row)
        return Measured(rows, result.duration, raw=summary(raw, argv))
