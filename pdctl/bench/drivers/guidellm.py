"""The driver that lets GuideLLM send the load."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pdctl.bench.driver import Measured
from pdctl.bench.drivers.guidellm_rows import LIMITS, read_report, rows_of
from pdctl.bench.drivers.guidellm_scenario import (
    RESULT,
    SCENARIO,
    TOOL,
    TRACE,
    guidellm_scenario,
    plays_exactly,
)
from pdctl.bench.drivers.means import Means
from pdctl.bench.drivers.tool import Job, refuse_duration, run_tool, took_s
from pdctl.bench.drivers.trace import trace
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.errors import BenchError

_INSTALL = "`pip install guidellm` in an environment of its own, and `--driver-program` with the path of its program"
_STARTING_S = 300.0


@dataclass(frozen=True, slots=True)
class GuideLlm:
    """See `Driver`. `stop` kills the tool: the point then has no rows."""

    means: Means = field(default_factory=Means)
    name: str = "guidellm"

    async def run(
        self, point: Point, target: Target, *, on_row: Callable[[Row], None], stop: Callable[[], bool]
    ) -> Measured:
        """Raises BenchError where the tool cannot run, cannot play the workload, or says nothing of a request."""
        refuse_duration(point, TOOL)
        played = trace(point)
        program, tokenizer = self.means.program or ("guidellm",), self.means.tokenizer
        scenario = guidellm_scenario(point, target, played, tokenizer=tokenizer)
        shown = guidellm_scenario(point, replace(target, api_key=None), played, tokenizer=tokenizer)
        job = Job(
            TOOL,
            (*program, "run", "-c", SCENARIO, "--disable-console-interactive"),
            _INSTALL,
            files={TRACE: played.lines, SCENARIO: json.dumps(scenario).encode()},
            quiet_s=_STARTING_S + point.deadline_s + point.workload.span_s,
        )
        ended = await run_tool(self.means.shell, job, stop=stop, on_progress=self.means.on_progress)
        if ended.stopped:
            return Measured((), 0.0, stopped=True)
        if RESULT not in ended.files:
            raise BenchError(f"{TOOL} ended without a report", hint="run it by hand and look at what it prints")
        report, summary = read_report(ended.files[RESULT])
        rows = rows_of(report, point, exact=plays_exactly(point))
        for row in rows:
            on_row(row)
        raw = {"tool": TOOL, "scenario": shown, "limits": list(LIMITS), "result": summary}
        return Measured(rows, took_s(rows), raw=raw)
