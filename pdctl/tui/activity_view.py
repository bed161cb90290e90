"""The journal as runs: who did what, when, and how it ended. Pure; entries may be damaged, or of another version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

_STEP_ENDS: Final = {"step_done": "done", "step_failed": "failed", "step_skipped": "skipped"}


class Outcome(StrEnum):
    """How a run ended. OPEN: the newest has no end yet: it goes on elsewhere, or its controller died. UNFINISHED: it
    never had one, and another began since; what it did last may or may not have happened."""

    RUNNING = "running"
    OPEN = "no end yet"
    DONE = "done"
    NOTHING = "nothing to do"
    PARTLY = "partly done"
    FAILED = "failed"
    STOPPED = "stopped"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened in a run. `state`: planned, running, done, failed, skipped, unfinished, or "" where it is
    no step. `count`: how often it was said, one after the other."""

    state: str
    action: str
    subject: str
    node: str = ""
    text: str = ""
    hint: str = ""
    began_s: float | None = None
    took_s: float | None = None
    count: int = 1
    step: str = ""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. Times are wall clock; None where they are not known. `count`: so many runs alike, one after the other,
    of which this is the last."""

    run: str
    operator: str
    command: str
    outcome: Outcome
    text: str
    subjects: tuple[str, ...]
    began_s: float | None
    took_s: float | None
    exit_code: int | None
    lines: tuple[Line, ...] = ()
    count: int = 1
    moved: tuple[str, ...] = ()  # of a move, once it has ended: its slots and where to

    @property
    def what(self) -> str:
        """The command and what it was about, in few words."""
        named = self.moved or _named(self.subjects)
        more = f" +{len(named) - 2}" if len(named) > 3 else ""
        shown = ", ".join(named[: 2 if more else 3])
        return f"{self.command or '?'} {shown}{more}".rstrip()


@dataclass(slots=True)
class _Gathered:
    """One run's entries, as they come."""

    run: str
    entries: list[Mapping[str, Any]] = field(default_factory=list)


def runs(
    entries: Iterable[Mapping[str, Any]], *, now_s: float, running: frozenset[str] = frozenset()
) -> tuple[RunRecord, ...]:
    """Runs, the newest first; `running`: ids of those known to go on. Alike ones that did nothing are one."""
    gathered: dict[str, _Gathered] = {}
    for entry in entries:
        name = str(entry.get("run", "?"))
        gathered.setdefault(name, _Gathered(name)).entries.append(entry)
    newest = next(reversed(gathered), "")
    records = [
        _record(each, Outcome.RUNNING if name in running else Outcome.OPEN if name == newest else None, now_s)
        for name, each in gathered.items()
    ]
    return tuple(reversed(_folded(records)))


def _record(gathered: _Gathered, without_end: Outcome | None, now_s: float) -> RunRecord:
    """`without_end`: what it is if the journal has no end of it; None: it was cut off."""
    first = gathered.entries[0]
    ended = next((each for each in reversed(gathered.entries) if each.get("event") == "run_ended"), None)
    started = next((each for each in gathered.entries if each.get("event") == "run_started"), None)
    lines = _lines(gathered.entries, over=ended is not None or without_end is None)
    began_s = _number(first.get("ts"))
    command = str((ended or started or {}).get("command", ""))
    outcome = _outcome(ended, without_end or Outcome.UNFINISHED)
    return RunRecord(
        gathered.run,
        str(first.get("operator", "?")),
        command,
        outcome,
        _ending(ended, lines, outcome),
        tuple(dict.fromkeys(line.subject for line in lines if line.step and line.subject)),
        began_s,
        _took(ended, began_s, now_s if without_end is Outcome.RUNNING else None),
        _code(ended),
        lines,
        moved=tuple(f"{line.subject} {line.text}" for line in lines if line.action == "moved"),
    )


def _outcome(ended: Mapping[str, Any] | None, without_end: Outcome) -> Outcome:
    if ended is None:
        return without_end
    code, done = _code(ended), _number(ended.get("done"))
    if code == 0:
        return Outcome.DONE if done or ended.get("failed") else Outcome.NOTHING
    if code == 130:
        return Outcome.STOPPED
    return Outcome.PARTLY if code == 3 else Outcome.FAILED


def _ending(ended: Mapping[str, Any] | None, lines: tuple[Line, ...], outcome: Outcome) -> str:
    """Its own last words; of a failure the first cause, which says more."""
    failed = next((line for line in lines if line.state == "failed" and line.text), None)
    if failed is not None and outcome in (Outcome.FAILED, Outcome.PARTLY):
        return f"{failed.subject}: {failed.action}: {failed.text}"
    if ended is None:
        cut = [line for line in lines if line.state == "unfinished"]
        words = "it goes on elsewhere, or its controller died" if outcome is Outcome.OPEN else ""
        return words if not cut else f"{cut[0].action} of {cut[0].subject} may or may not have happened"
    return str(ended.get("text", ""))


def _lines(entries: Iterable[Mapping[str, Any]], *, over: bool) -> tuple[Line, ...]:
    """Steps where they were planned or began, and what else was said, in order."""
    found: list[Line] = []
    places: dict[str, int] = {}
    for entry in entries:
        event, step = str(entry.get("event", "")), str(entry.get("step", ""))
        if step:
            line = _step_line(event, entry, found[places[step]] if step in places else None)
            if step in places:
                found[places[step]] = line
            else:
                places[step] = len(found)
                found.append(line)
        elif event not in ("run_started", "run_ended", "lease_taken"):
            line = _said(event, entry)
            if found and replace(found[-1], count=1, began_s=None) == replace(line, began_s=None):
                found[-1] = replace(found[-1], count=found[-1].count + 1)
            else:
                found.append(line)
    if over:
        found = [replace(line, state="unfinished") if line.state == "running" else line for line in found]
    return tuple(found)


def _step_line(event: str, entry: Mapping[str, Any], before: Line | None) -> Line:
    words = str(entry.get("cause") or entry.get("reason") or "")
    line = before or Line("planned", _text(entry, "action"), _text(entry, "subject"), step=_text(entry, "step"))
    line = replace(line, node=_text(entry, "node") or line.node, text=words or line.text)
    ts = _number(entry.get("ts"))
    if event == "step_started":
        return replace(line, state="running", began_s=ts)
    if event in _STEP_ENDS:
        took_s = _number(entry.get("took_s"))
        if took_s is None and ts is not None and line.began_s is not None:
            took_s = max(0.0, ts - line.began_s)
        return replace(line, state=_STEP_ENDS[event], took_s=took_s, hint=_text(entry, "hint"))
    return line


def _named(subjects: tuple[str, ...]) -> tuple[str, ...]:
    """Those that say most: an instance rather than its slot, and the router only where there is nothing else."""
    named = [name for name in subjects if name not in ("cluster", "router", "registrar")]
    return tuple(name for name in named if not any(other.startswith(f"{name}.") for other in named)) or subjects


def _said(event: str, entry: Mapping[str, Any]) -> Line:
    if event == "moved":
        text = f"{_text(entry, 'from_pool')} -> {_text(entry, 'to_pool')}: {_text(entry, 'outcome')}"
        return Line("", event, _text(entry, "slot"), "", text, "", None, _number(entry.get("took_s")))
    words = [_text(entry, key) for key in ("cause", "text", "observed", "reason")]
    subject = _text(entry, "subject") or _text(entry, "node")
    text = next((each for each in words if each), "")
    return Line("", event.replace("_", " "), subject, "", text, _text(entry, "hint"), _number(entry.get("ts")))


def _folded(records: list[RunRecord]) -> list[RunRecord]:
    """Runs alike that did nothing, of the same operator and one after the other, as one with a count."""
    kept: list[RunRecord] = []
    for record in records:
        last = kept[-1] if kept else None
        same = last is not None and (last.operator, last.command) == (record.operator, record.command)
        if last is not None and same and last.outcome is record.outcome is Outcome.NOTHING:
            kept[-1] = replace(record, count=last.count + 1)
        else:
            kept.append(record)
    return kept


def _took(ended: Mapping[str, Any] | None, began_s: float | None, now_s: float | None) -> float | None:
    if ended is not None:
        return _number(ended.get("took_s"))
    return None if began_s is None or now_s is None else max(0.0, now_s - began_s)


def _code(ended: Mapping[str, Any] | None) -> int | None:
    code = None if ended is None else _number(ended.get("exit_code"))
    return None if code is None else int(code)


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return "" if value is None else str(value)


def _number(value: object) -> float | None:
    """Numbers of a record that may be damaged; NaN and infinity are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e18 else None
