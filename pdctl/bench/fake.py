"""Stands in for the load runner where a test is about what a use case makes of a load."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pdctl.bench.report import summarise
from pdctl.model.load import LoadReport, LoadSpec
from pdctl.model.outcome import RequestResult


class ScriptedLoad:
    """A `model.load.LoadRunner` that yields the given results, whatever is asked; `specs` keeps what was asked."""

    def __init__(self, results: Sequence[RequestResult], *, took_s: float = 1.0) -> None:
        self._results = tuple(results)
        self._took_s = took_s
        self.specs: list[LoadSpec] = []

    async def __call__(
        self,
        spec: LoadSpec,
        on_result: Callable[[RequestResult], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> LoadReport:
        self.specs.append(spec)
        sent: list[RequestResult] = []
        for result in self._results:
            if stop is not None and stop():
                break
            sent.append(result)
            if on_result is not None:
                on_result(result)
        return summarise(sent, self._took_s)
