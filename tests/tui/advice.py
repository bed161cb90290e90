"""Advice that nobody worked out: rankings as a test wants them, and an adviser that answers when it is told to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from pdctl.advisor.first_step import Step
from pdctl.advisor.rank import Objective
from pdctl.errors import PdctlError
from pdctl.model.deployment import Slo
from pdctl.model.role import Role
from pdctl.tui.advising import Advice, PriorLine, Query, SplitRow

BETTER = Advice(
    source="observed: 10 requests/s of 512 tokens in and 64 out",
    slo=Slo(1.0, 0.05, 0.95),
    objective=Objective.GOODPUT,
    verdict="3P2D is best: disaggregate (95% of requests within both targets, against 6% of 5M)",
    too_close=False,
    rows=(
        SplitRow(
            ("3P2D", "95% ±7", "9.52", "691ms", "925ms", "41ms", "7.84s ±3", "14,767"),
            "prefill 49% busy, decode 30% busy",
            True,
            False,
            False,
        ),
        SplitRow(
            ("2P3D", "27% ±11", "2.71", "1.24s", "2.01s", "38ms", "8.09s ±3", "14,710"),
            "prefill 73% busy, decode 20% busy; TTFT p99 2.01 s misses 1 s",
            False,
            False,
            True,
        ),
        SplitRow(
            ("5M", "6% ±6", "0.59", "1.02s", "1.51s", "4.19s", "23.4s ±3", "14,138"),
            "prompts of 512 tokens stall the answers beside them: ITL p99 4.19 s misses 50 ms",
            False,
            False,
            False,
        ),
    ),
    going=(
        "from 2P3D to 3P2D: 1 move, about 6m21s, 125 good requests missed meanwhile",
        "it pays back 8m16s after the start, if the traffic stays as it is",
    ),
    step=Step("mi300x", Role.DECODE),
    no_step="",
    rests_on="predicted with r1-mi300x-ep8, 2 draws of 600 requests; ± is the model's own error on runs that it was "
    "not fitted to, and the spread over the draws",
    notes=("KV capacity is taken as enough: the profile does not say it",),
    priors=(
        PriorLine(
            "stay colocated: fast-link domains of 8 GPUs: decode beyond one domain loses most of the gain [a source]",
            "measured otherwise: 1.35x E2EL over 5 nodes of 8 MI300X",
        ),
    ),
)
"""The present split, 2P3D, is behind."""

TOO_CLOSE = replace(
    BETTER,
    verdict="too close to call between 3P2D and 2P3D",
    too_close=True,
    rows=tuple(replace(row, level=row.words != "5M") for row in BETTER.rows),
    going=("you have 2P3D, which cannot be told from the best: stay",),
    step=None,
    no_step="2P3D cannot be told from the best: there is nothing to gain that is sure",
)


@dataclass
class ScriptedAdviser:
    """Answers with `found`, or refuses; while `hang` is there, when that is set. `asked` remembers the questions."""

    found: Advice = BETTER
    refusal: PdctlError | None = None
    hang: asyncio.Event | None = None
    asked: list[Query] = field(default_factory=list)

    async def advise(self, query: Query) -> Advice:
        self.asked.append(query)
        if self.hang is not None:
            await self.hang.wait()
        if self.refusal is not None:
            raise self.refusal
        return replace(self.found, source=query.source, objective=query.objective)
