"""What is measured: one workload against one deployment, with one seed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pdctl.model.load import Api, PromptKind
from pdctl.perf.workload import Workload


@dataclass(frozen=True, slots=True)
class Target:
    """A server and what a driver must know of it. `gpus` and `usd_per_hour` are those of the whole deployment (None:
    not known; then there are no figures per GPU or per dollar)."""

    url: str
    model: str
    deployment: str = "server"
    api: Api = Api.COMPLETIONS
    prompt: PromptKind = PromptKind.TOKENS
    vocab: int = 1000
    gpus: int | None = None
    usd_per_hour: float | None = None
    api_key: str | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """`load` names how the load is set: "c320" (concurrency), "r5" (requests a second), "c320-r3" (both), "trace".

    `duration_s`: nothing is sent after that, and the point is whole, however much was. `indices`, where a point that
    was cut goes on: which of the point's requests the workload's are; prompts and rows are those of `index(position)`.
    """

    deployment: str
    scenario: str
    load: str
    seed: int
    workload: Workload
    deadline_s: float = 1800.0
    duration_s: float | None = None
    indices: Sequence[int] | None = None

    def index(self, position: int) -> int:
        """The number within the whole point of the request at `position` of the workload."""
        return position if self.indices is None else self.indices[position]

    @property
    def id(self) -> str:
        """A path below the run's directory: `r1-2p3d/8k-1k/c320/s0`."""
        return "/".join((_plain(self.deployment), _plain(self.scenario), _plain(self.load), f"s{self.seed}"))


def _plain(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", name).strip("-.") or "x"
