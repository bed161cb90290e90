"""What a run on real vLLM has to print at its end, gathered while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pdctl.model.load import LoadReport
from pdctl.model.outcome import OutcomeCounts
from tests.fleet.command import Json
from tests.real.kv import NOTHING, Kv

SHORT_S = 0.05
"""Steps that took less are not worth a line."""


@dataclass(slots=True)
class Figures:
    """Engines' start times, what each command and its steps took, requests by outcome, and the KV that moved.

    `decode` and `prefill` add up what the engines of a role counted while loads went through the router.
    """

    starts: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    decode: Kv = NOTHING
    prefill: Kv = NOTHING

    def command(self, argv: Sequence[str], took_s: float, events: Sequence[Json]) -> None:
        """One pdctl command, by its events."""
        self.commands.append(f"pdctl {' '.join(argv)}: {took_s:.1f} s")
        began: dict[str, float] = {}
        for event in events:
            name = (event.get("action"), event.get("subject"))
            if event["event"] == "step_started" and name[0] == "start":
                began[event["subject"]] = event["ts"]
            if event["event"] != "step_done":
                continue
            if event["took_s"] >= SHORT_S:
                self.commands.append(f"    {event['action']} {event['subject']}: {event['took_s']:.1f} s")
            if name[0] == "await ready" and event["subject"] in began:
                self.starts.append(f"{event['subject']} {event['ts'] - began[event['subject']]:.1f} s")

    def load(self, what: str, report: LoadReport) -> None:
        """One load through the router."""
        self.loads.append(f"{what}: {in_words(report.counts)}; {report.streamed} streamed, {report.took_s:.0f} s")
        mine, its = self.outcomes, report.counts
        self.outcomes = OutcomeCounts(
            ok=mine.ok + its.ok,
            aborted=mine.aborted + its.aborted,
            error=mine.error + its.error,
            cut=mine.cut + its.cut,
            refused=mine.refused + its.refused,
        )

    def lines(self) -> Iterator[str]:
        """For the end of the run."""
        if self.starts:
            yield f"engines' starts, launch to /health: {', '.join(self.starts)}"
        yield from self.commands
        if self.loads:
            yield f"requests through the router: {in_words(self.outcomes)}"
            yield from (f"    {line}" for line in self.loads)
            yield (
                f"KV moved to decode under them: {self.decode.external_tokens:.0f} tokens in "
                f"{self.decode.transfers:.0f} transfers, {self.decode.transferred_bytes:.0f} bytes; "
                f"decode local_compute: {self.decode.local_tokens:.0f} tokens; "
                f"prefill local_compute: {self.prefill.local_tokens:.0f} tokens"
            )
        yield from self.notes


def in_words(counts: OutcomeCounts) -> str:
    """Every outcome with its count."""
    return (
        f"{counts.total} sent, {counts.ok} ok, {counts.aborted} aborted, {counts.error} error, {counts.cut} cut, "
        f"{counts.refused} refused"
    )
