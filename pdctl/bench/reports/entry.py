"""What a report is made of: measured points with their requests, and where the raw data of each lie."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from pdctl.bench.figures.figures import Criterion, Figures
from pdctl.bench.reports.request import Request
from pdctl.bench.runs.definition import PointNote
from pdctl.bench.runs.meta import RunMeta
from pdctl.model.deployment import Slo

DEFAULT_SLO = Slo(ttft_s=1.0, itl_s=0.05, attainment=0.9)
"""What MORI-IO's article measures goodput with; 90 % is DistServe's share."""

_NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_LOAD = re.compile(
    rf"(?:c(?P<concurrency>\d+))?-?(?:r(?P<rate>{_NUMBER})(?:-b(?:{_NUMBER}|inf))?|x(?P<times>{_NUMBER}))?"
)


@dataclass(frozen=True, slots=True)
class Load:
    """How the load of a point was set, read from its name: `c320`, `r5`, `c320-r3`, `r5-b0.5`; `x2` is twice a trace's
    own rate. None: not limited, or not said."""

    name: str
    concurrency: int | None = None
    rate_per_s: float | None = None
    times: float | None = None

    @classmethod
    def read(cls, name: str) -> Load:
        """Any other name than those (`trace`) is a load without figures."""
        match = _LOAD.fullmatch(name)
        if match is None or not name:
            return cls(name)
        concurrency, rate, times = match["concurrency"], match["rate"], match["times"]
        return cls(
            name,
            int(concurrency) if concurrency else None,
            float(rate) if rate else None,
            float(times) if times else None,
        )

    @property
    def order(self) -> tuple[float, float, str]:
        """Loads sort from light to heavy; names without figures come last."""
        rate = self.rate_per_s if self.times is None else self.times
        unknown = self.concurrency is None and rate is None
        return (inf if unknown else self.concurrency or 0.0, inf if rate is None else rate, self.name)


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that the figures of a point were computed from, one row a line, and its SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One measured point. `deployment` is how the report calls it: with its run, where several runs measured one of
    that name. The line numbers of `requests` lead back into `origin`."""

    note: PointNote
    deployment: str
    figures: Figures
    requests: Sequence[Request]
    origin: Origin
    gpus: int | None = None

    @property
    def id(self) -> str:
        return self.note.id

    @property
    def scenario(self) -> str:
        return self.note.scenario

    @property
    def load(self) -> Load:
        return Load.read(self.note.load)

    @property
    def seed(self) -> int:
        return self.note.seed

    @property
    def place(self) -> tuple[str, str, str]:
        """What is the same for all seeds of it."""
        return self.deployment, self.scenario, self.note.load


@dataclass(frozen=True, slots=True)
class Report:
    """Entries of one or more runs, in the order in which runs have them. `meta`: what each run says of itself, by its
    directory. `slo` and `criterion`: what requests are judged by. `unmeasured`: points that are not done, by id."""

    entries: tuple[Entry, ...]
    slo: Slo = DEFAULT_SLO
    criterion: Criterion = Criterion.P99_ITL
    meta: Mapping[str, RunMeta] = field(default_factory=dict)
    unmeasured: tuple[str, ...] = ()

    def judged_by(self, slo: Slo) -> Report:
        """The same by other targets."""
        return replace(self, slo=slo)

    def only(self, scenarios: Sequence[str]) -> Report:
        """Of these scenarios; of all where none are named."""
        if not scenarios:
            return self
        return replace(self, entries=tuple(each for each in self.entries if each.scenario in scenarios))

    @property
    def deployments(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.deployment for entry in self.entries))

    @property
    def scenarios(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.scenario for entry in self.entries))

    @property
    def groups(self) -> tuple[tuple[Entry, ...], ...]:
        """The seeds of every point: by scenario, deployment and load, each in its order."""
        return tuple(
            group
            for scenario in self.scenarios
            for deployment in self.deployments
            for group in self.of(deployment, scenario)
        )

    def of(self, deployment: str, scenario: str) -> tuple[tuple[Entry, ...], ...]:
        """The seeds of each load, loads from light to heavy."""
        return grouped(each for each in self.entries if (each.deployment, each.scenario) == (deployment, scenario))


def grouped(entries: Iterable[Entry]) -> tuple[tuple[Entry, ...], ...]:
    """Entries that differ in their seed only stand together, in the order of their seeds; loads from light to heavy."""
    found: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.place, []).append(entry)
    groups = (tuple(sorted(group, key=lambda each: each.seed)) for group in found.values())
    return tuple(sorted(groups, key=lambda group: group[0].load.order))
