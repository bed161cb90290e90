"""Trace files: one JSON object a line, `{"at", "input_len", "output_len"[, "prefix_id", "prefix_len"]}`.

`at` is seconds from the start of the run. The form is that of Narwhal's tools (`narwhal-bench --trace-file`) and is
read as they read it: other keys are passed over, a prefix longer than its prompt is the whole prompt, and a rate scales
the times. Lines need not be in the order of their times (a journal is in the order in which requests ended): they are
sorted, those of one time staying as they stand in the file.
"""

from __future__ import annotations

import difflib
import json
import math
from typing import Any

from pdctl.errors import TraceInvalid
from pdctl.perf.workload import Asked, Workload

_LATEST_S = 30 * 86400.0
"""A request due later than this is taken for a time of day or a count of milliseconds."""
_MOST = 1e15
_HINT = 'a line is {"at": seconds from the start, "input_len": tokens, "output_len": tokens}; nothing was sent'


def parse_trace(text: str, file: str, *, rate: float = 1.0, concurrency: int | None = None) -> Workload:
    """The workload of a trace; `file` names it in errors. `rate` 2 replays it twice as fast as it was recorded.

    Raises TraceInvalid with a line for everything that is wrong in it, or if it has no requests, and ValueError for a
    rate that is not positive.
    """
    if not 0 < rate < math.inf:
        raise ValueError("a trace is replayed at a positive, finite rate")
    asked: list[Asked] = []
    problems: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if not line.strip():
            continue
        request, found = _line(line, rate)
        problems += [f"{file}:{number}: {problem}" for problem in found]
        if request is not None:
            asked.append(request)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise TraceInvalid(f"{file}: {count}", problems=tuple(problems), hint=_HINT)
    if not asked:
        raise TraceInvalid(f"{file}: no requests", hint=_HINT)
    return Workload(tuple(sorted(asked, key=lambda request: request.at_s)), concurrency)


def format_trace(workload: Workload) -> str:
    """The trace file of a workload: what `parse_trace` reads back as the same requests."""
    return "".join(json.dumps(_as_json(request)) + "\n" for request in workload.asked)


def _as_json(request: Asked) -> dict[str, float | int]:
    said: dict[str, float | int] = {"at": request.at_s, "input_len": request.isl, "output_len": request.osl}
    if request.prefix_id is not None:
        said |= {"prefix_id": request.prefix_id, "prefix_len": request.prefix_len}
    return said


def _line(line: str, rate: float) -> tuple[Asked | None, list[str]]:
    """The request of a line (None: it is a run's header, or wrong), and what is wrong with it."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deep, or a number too long")
        return None, [f"no JSON: {reason} (hint: one object a line, no commas between)"]
    if not isinstance(said, dict):
        return None, ["JSON, but no object (hint: braces around the keys)"]
    if "meta" in said:
        return None, []
    fields = _Fields(said)
    at_s = fields.seconds("at")
    isl, osl = fields.whole("input_len", least=1), fields.whole("output_len", least=1)
    prefix_id, prefix_len = fields.prefix()
    if fields.problems:
        return None, fields.problems
    return Asked(at_s / rate, isl, osl, prefix_id, min(prefix_len, isl)), []


class _Fields:
    """Reads the fields of one line; what is wrong is kept in `problems`, and a value that would do is returned."""

    def __init__(self, said: dict[str, Any]) -> None:
        self._said = said
        self.problems: list[str] = []

    def seconds(self, key: str) -> float:
        value = self._number(key)
        if value is None:
            return 0.0
        if not 0 <= value < math.inf:
            return self._wrong(key, value, "seconds from the start, 0 or more")
        if value > _LATEST_S:
            return self._wrong(key, value, "seconds from the start; subtract the time of the first request")
        return float(value)

    def whole(self, key: str, *, least: int | None = None) -> int:
        value = self._number(key)
        if value is None:
            return 1
        if not abs(value) <= _MOST or value != int(value) or (least is not None and value < least):
            return int(self._wrong(key, value, "a whole number" + (f", {least} or more" if least is not None else "")))
        return int(value)

    def prefix(self) -> tuple[int | None, int]:
        given = [key for key in ("prefix_id", "prefix_len") if self._said.get(key) is not None]
        if not given:
            return None, 0
        if len(given) == 1:
            self.problems.append(f"{given[0]} alone (hint: prefix_id and prefix_len belong together)")
            return None, 0
        return self.whole("prefix_id"), self.whole("prefix_len", least=0)

    def _number(self, key: str) -> float | int | None:
        if key not in self._said:
            close = difflib.get_close_matches(key, self._said, n=1)
            self.problems.append(f"no {key}" + (f" (hint: {close[0]!a} is another key)" if close else ""))
            return None
        value = self._said[key]
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._wrong(key, value, "a number, without quotes")
            return None
        return value

    def _wrong(self, key: str, value: object, wanted: str) -> float:
        self.problems.append(f"{key} is {ascii(value)[:60]} (hint: {wanted})")
        return 1.0
