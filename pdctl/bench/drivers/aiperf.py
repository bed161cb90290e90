"""The driver that lets AIPerf send the load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pdctl.bench.driver import Measured
from pdctl.bench.drivers.aiperf_argv import REQUESTS, TOOL, aiperf_argv
from pdctl.bench.drivers.aiperf_rows import LIMITS, RECORDS, SUMMARY, read_records, read_summary, rows_of
from pdctl.bench.drivers.means import Means
from pdctl.bench.drivers.payloads import payload_lines
from pdctl.bench.drivers.tool import Job, refuse_duration, run_tool, took_s
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.errors import BenchError

_INSTALL = "`pip install aiperf` in an environment of its own, and `--driver-program` with the path of its program"
_STARTING_S = 300.0


@dataclass(frozen=True, slots=True)
class AiPerf:
    """See `Driver`. `stop` kills the tool: the point then has no rows."""

    means: Means = field(default_factory=Means)
    name: str = "aiperf"

    async def run(
        self, point: Point, target: Target, *, on_row: Callable[[Row], None], stop: Callable[[], bool]
    ) -> Measured:
        """Raises BenchError where the tool cannot run, or has no record of a request."""
        refuse_duration(point, TOOL)
        argv = aiperf_argv(self.means.program or ("aiperf",), point, target, tokenizer=self.means.tokenizer)
        job = Job(
            TOOL,
            argv,
            _INSTALL,
            files={REQUESTS: payload_lines(point, target)},
            environment=_environment(target, self.means.tokenizer),
            quiet_s=_STARTING_S + point.deadline_s + point.workload.span_s,
            enough=RECORDS,
        )
        ended = await run_tool(self.means.shell, job, stop=stop, on_progress=self.means.on_progress)
        if ended.stopped:
            return Measured((), 0.0, stopped=True)
        if RECORDS not in ended.files:
            raise BenchError(f"{TOOL} ended without {RECORDS}", hint="run it by hand and look at what it prints")
        rows = rows_of(read_records(ended.files[RECORDS]), point)
        for row in rows:
            on_row(row)
        summary = read_summary(ended.files.get(SUMMARY))
        raw = {"tool": TOOL, "argv": list(argv), "limits": list(LIMITS), "result": summary}
        return Measured(rows, took_s(rows), raw=raw)


def _environment(target: Target, tokenizer: str) -> dict[str, str]:
    """AIPerf 0.13 takes a tokenizer's directory for a name on the hub where it is told to stay offline."""
    online = {"HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": ""} if tokenizer.startswith("/") else {}
    return online | ({"OPENAI_API_KEY": target.api_key} if target.api_key else {})
