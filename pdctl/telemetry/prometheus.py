"""The same figures out of the operator's own Prometheus: raw samples by PromQL, then everything as if scraped here.

One instant query a tick asks for the last raw value of each series of the cluster, with its time. Differences are
taken here, over the same windows and with the same rules as for engines that are scraped directly: PromQL's `rate`
extrapolates, and would give other figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from pdctl.telemetry.node_feed import Heard, Scraped
from pdctl.telemetry.scan import Labels, Scan, Series

INSTANCE_LABEL: Final = "pdctl_instance"
NODE_LABEL: Final = "pdctl_node"
CLUSTER_LABEL: Final = "pdctl_cluster"
GENERATION_LABEL: Final = "pdctl_generation"
_OURS: Final = frozenset({"__name__", "job", "instance", INSTANCE_LABEL, NODE_LABEL, CLUSTER_LABEL})
_OURS_TOO: Final = frozenset({"pdctl_pool", "pdctl_role", "pdctl_slot", GENERATION_LABEL})
FIRST_LOOK_S: Final = 310
"""The first question fills the longest window at once."""
OVERLAP_S: Final = 15.0
"""Later ones ask for what came since, and for scrapes that were stored late: Prometheus stores one when it has ended,
an interval later at most, under the time at which it began. This much as long as the interval is not known."""
LEAST_OVERLAP_S: Final = 3.0


class PrometheusError(Exception):
    """The server does not answer, or not what was asked; the text says why."""


@dataclass(slots=True)
class PrometheusSource:
    """Reads one cluster's series. `names`: the sample names that are used. Not for several clusters: it interns."""

    client: httpx.AsyncClient
    url: str
    cluster: str
    names: frozenset[str]
    _series: dict[tuple[str, Labels], Series] = field(default_factory=dict)
    _last_s: dict[str, float] = field(default_factory=dict)
    _asked_s: float | None = None
    every_s: float = 0.0  # between the two newest scrapes of a target, the longest of all; 0 before two

    async def read(self, now_s: float, launches: Mapping[str, int] | None = None) -> list[tuple[str, Heard, float]]:
        """What is new since the last call: (node, scrape, age in seconds). `now_s`: wall clock; `launches`: present
        generations by instance, of which nothing older is taken. Raises PrometheusError."""
        names = "|".join(sorted(self.names))
        overlap_s = max(LEAST_OVERLAP_S, 2 * self.every_s) if self.every_s else OVERLAP_S
        back_s: float = FIRST_LOOK_S
        if self._asked_s is not None:
            back_s = min(back_s, max(0.0, now_s - self._asked_s) + overlap_s)
        query = f'{{{CLUSTER_LABEL}="{self.cluster}",__name__=~"{names}"}}[{math.ceil(back_s)}s]'
        matrix = await self._query(query)
        try:
            found = self._scrapes(matrix, now_s, launches or {})
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise PrometheusError(f"{self.url}: it answered what is no matrix of samples ({error!r})") from error
        self._asked_s = now_s
        return found

    async def _query(self, query: str) -> list[dict[str, Any]]:
        try:
            answer = await self.client.post(f"{self.url.rstrip('/')}/api/v1/query", data={"query": query})
            body = answer.json()
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise PrometheusError(f"{self.url}: {error or type(error).__name__}") from error
        if not isinstance(body, dict) or body.get("status") != "success":
            said = body.get("error", f"status {answer.status_code}") if isinstance(body, dict) else "no JSON object"
            raise PrometheusError(f"{self.url}: {said}")
        result = body.get("data", {}).get("result", [])
        return result if isinstance(result, list) else []

    def _scrapes(
        self, matrix: list[dict[str, Any]], now_s: float, launches: Mapping[str, int]
    ) -> list[tuple[str, Heard, float]]:
        """Series back to scrapes: all samples of one target at one time are one scrape."""
        grouped: dict[tuple[str, str], dict[float, dict[Series, float]]] = {}
        for row in matrix:
            labels: Mapping[str, str] = row["metric"]
            target, node = labels.get(INSTANCE_LABEL, ""), labels.get(NODE_LABEL, "")
            if target in launches and labels.get(GENERATION_LABEL, "") not in ("", str(launches[target])):
                continue  # of a launch that is over
            series = self._one(labels)
            times = grouped.setdefault((node, target), {})
            for at_s, value in row["values"]:
                if at_s > self._last_s.get(target, float("-inf")):
                    times.setdefault(at_s, {})[series] = float(value)
        found: list[tuple[str, Heard, float]] = []
        gaps: list[float] = []
        for (node, target), times in grouped.items():
            stamps = sorted({*times, *([self._last_s[target]] if target in self._last_s else [])})
            gaps += [stamps[-1] - stamps[-2]] if len(stamps) > 1 else []
            for at_s in sorted(times):
                found.append((node, Scraped(target, at_s, Scan(times[at_s], 0)), max(0.0, now_s - at_s)))
                self._last_s[target] = at_s
        self.every_s = max(gaps, default=self.every_s)
        return found

    def _one(self, labels: Mapping[str, str]) -> Series:
        kept = tuple(sorted((key, value) for key, value in labels.items() if key not in _OURS | _OURS_TOO))
        key = (labels["__name__"], kept)
        return self._series.setdefault(key, Series(*key))
