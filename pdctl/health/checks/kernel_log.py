"""What the kernel said lately: of the GPUs, and of the host around them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pdctl.health.check import Check, Word
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.kernel_events import DMESG, JOURNAL
from pdctl.health.parse.kernel_log import KernelEvent
from pdctl.health.parse.kernel_log_patterns import Grade
from pdctl.model.reading import Unknown

GPU_CATEGORIES = frozenset({"gpu", "ras"})
HOST_CATEGORIES = frozenset({"cpu", "memory", "hang", "disk", "iommu", "pcie"})  # "link" is the NIC checks'
FLOODED = "the kernel writes so much that what is kept of its log does not reach back that far"
FIX = "sudo dmesg -T --level=emerg,alert,crit,err,warn | tail -100"


def _gpu(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    yield from _words(facts, expected, of_gpu=True)


def _host(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    yield from _words(facts, expected, of_gpu=False)


def _words(facts: NodeFacts, expected: Expectations, *, of_gpu: bool) -> Iterator[Word]:
    log, window_s, now_s = facts.gpu.kernel, expected.thresholds.dmesg_window_s, facts.envelope.wall_s
    promise = f"nothing that matters in the last {window_s / 60:.0f} min"
    if isinstance(log.events, Unknown):
        yield Word(Verdict.UNKNOWN, "unknown", promise, evidence=(Evidence(log.events.source),), why=log.events.reason)
        return
    events = [event for event in log.events.value if _about_gpu(event, facts) is of_gpu and event.category != "link"]
    groups: dict[tuple[str, str], list[KernelEvent]] = {}
    for event in events:
        groups.setdefault((event.what, event.address), []).append(event)
    lately = False
    for (what, address), same in groups.items():
        recent = [event for event in same if event.at_s is None or event.at_s > now_s - window_s]
        lately = lately or bool(recent)
        if recent or same[-1].grade is Grade.FATAL:
            yield _word(facts, what, address, recent or same, promise, bool(recent), log.events.source)
    if not lately:
        whole = not log.cut and (log.since_s is None or log.since_s <= now_s - window_s)
        why = "the log ends in half a line: more may have followed" if log.cut else "" if whole else FLOODED
        said = f"{len(events)} older ones" if events else "nothing"
        verdict = Verdict.PASS if whole else Verdict.UNKNOWN
        yield Word(
            verdict, said if whole else "unknown", promise, evidence=(Evidence(log.events.source, said),), why=why
        )


def _about_gpu(event: KernelEvent, facts: NodeFacts) -> bool:
    return event.category in GPU_CATEGORIES or any(gpu.address == event.address for gpu in facts.gpu.gpus)


def _word(
    facts: NodeFacts, what: str, address: str, events: list[KernelEvent], promise: str, recent: bool, source: str
) -> Word:
    """Fatal lately blocks; fatal long ago in this boot is for the record; the rest warns."""
    gpu = next((gpu for gpu in facts.gpu.gpus if gpu.address == address), None)
    fatal = any(event.grade is Grade.FATAL for event in events)
    times = f"{len(events)} times" if len(events) > 1 else "once"
    return Word(
        Verdict.FAIL,
        f"{what} {times}, last {_when(events[-1], facts)}",
        promise,
        gpu.name if gpu is not None else address,
        (gpu.index,) if gpu is not None else None,
        (Evidence(source, "\n".join(event.line[:240] for event in events[-3:])),),
        fix=FIX,
        why="it was fatal for what ran there" if fatal else "",
        severity=(Severity.BLOCK if fatal else Severity.WARN) if recent else Severity.INFO,
    )


def _when(event: KernelEvent, facts: NodeFacts) -> str:
    if event.at_s is None:
        return "at an unknown time"
    at = datetime.fromtimestamp(event.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    ago_s = facts.envelope.wall_s - event.at_s
    return f"{ago_s / 60:.0f} min ago ({at})" if 0 <= ago_s < 86_400 else f"at {at}"


GPU_LOG = Check("gpu.kernel_log", "the kernel reports no GPU fault", Severity.BLOCK, (DMESG, JOURNAL), _gpu)
HOST_LOG = Check("host.kernel_log", "the kernel reports no host fault", Severity.BLOCK, (DMESG, JOURNAL), _host)
CHECKS = (GPU_LOG, HOST_LOG)
