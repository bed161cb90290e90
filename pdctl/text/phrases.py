"""What an event says in words. Pure; every view that shows words takes them from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdctl.model.events import (
    CheckBegan,
    CheckEnded,
    CheckFailed,
    Event,
    LeaseTaken,
    Moved,
    NodeUnreachable,
    Planned,
    RunEnded,
    RunStarted,
    SlotHeld,
    StepDone,
    StepFailed,
    StepProgress,
    StepSkipped,
    StepStarted,
    Warned,
)
from pdctl.model.keeper_events import KeeperEvent
from pdctl.model.playbook_events import PlaybookEvent
from pdctl.text.duration import duration
from pdctl.text.escape import log_line, one_line
from pdctl.text.keeper_phrases import keeper_parts
from pdctl.text.playbook_phrases import playbook_parts

_TAG_WIDTH = 11  # of "unreachable"


def phrase(event: Event, *, verbose: bool = False) -> tuple[str, ...]:
    """An event as lines: the first says it, `hint:` and `|` lines (the log's last) follow where there are any.

    `verbose` adds the details of finished steps. All remote text in it is escaped.
    """
    tag, text, hint, log = _parts(event, verbose)
    under = " " * (_TAG_WIDTH + 1)
    lines = [f"{tag:{_TAG_WIDTH}} {one_line(text)}"]
    if hint:
        lines.append(f"{under}hint: {one_line(hint)}")
    return (*lines, *(f"{under}| {log_line(line)}" for line in log))


def _parts(event: Event, verbose: bool) -> tuple[str, str, str, tuple[str, ...]]:
    """(tag, text, hint, log lines)"""
    match event:
        case NodeUnreachable():
            return "unreachable", f"{event.node}: {event.cause}; what runs there is unknown", event.hint, ()
        case Warned():
            return "warning", event.text, event.hint, ()
        case PlaybookEvent():
            return playbook_parts(event)
        case KeeperEvent():
            return keeper_parts(event)
        case StepFailed():
            return _failed(event)
        case CheckFailed():
            where = f"{event.node} {event.device}".strip()
            expected = f", expected {event.expected}" if event.expected else ""
            return "unfit", f"{where}: {event.check}: {event.observed}{expected}", event.fix, ()
        case _:
            tag, text = _plain_parts(event, verbose)
            return tag, text, "", ()


def _plain_parts(event: Event, verbose: bool) -> tuple[str, str]:
    match event:
        case RunStarted():
            return event.command, f"{_count(event.steps, 'step')}, {event.inventory}"
        case LeaseTaken():
            return "lease", f"taken on {event.node}, epoch {event.epoch}"
        case Planned():
            return "plan", _step(event) + _because(event.reason)
        case StepStarted():
            return "begin", _step(event) + _because(event.reason)
        case StepProgress():
            return "wait", _step(event) + f": {event.text} ({duration(event.elapsed_s)})"
        case StepDone():
            details = _detail(event.detail) if verbose else ""
            return "done", _step(event) + f" in {duration(event.took_s)}" + _forced(event.detail) + details
        case StepSkipped():
            return "skipped", _step(event) + f": {event.reason}"
        case SlotHeld():
            return "held", f"{event.slot}: {event.text}"
        case CheckBegan():
            return "check", f"{_count(len(event.nodes), 'node')} where something will start"
        case CheckEnded():
            return "checked", _checked(event)
        case Moved():
            return "moved" if event.outcome == "moved" else "move", _moved(event)
        case RunEnded():
            return "end", _end(event)
        case _:
            return event.event, ""


def _failed(event: StepFailed) -> tuple[str, str, str, tuple[str, ...]]:
    text = f"{_step(event)}: {event.cause}"
    if event.unknown:
        return "unknown", f"{text}; it may or may not have happened", event.hint, event.last_lines
    return "failed", text, event.hint, event.last_lines


def _step(event: Planned | StepStarted | StepProgress | StepDone | StepFailed | StepSkipped) -> str:
    return f"{event.subject}: {event.action}"


def _end(event: RunEnded) -> str:
    counts = [(event.done, "done"), (event.failed, "failed"), (event.skipped, "skipped")]
    told = ", ".join(f"{count} {word}" for count, word in counts if count) or "nothing to do"
    status = f", exit status {event.exit_code}" if event.exit_code else ""
    text = f"; {event.text}" if event.text and event.text != told else ""
    return f"{event.command}: {told} in {duration(event.took_s)}{status}{text}"


def _moved(event: Moved) -> str:
    where = f"{event.slot}: {event.from_pool or 'spare'} -> {event.to_pool or 'spare'}"
    if event.outcome != "moved":
        return f"{where}: {event.outcome}"
    in_hand = event.in_flight_at_fence
    carried = "" if in_hand is None else f", {_count(in_hand, 'request')} in hand at the fence"
    cut = f", {_count(event.cut, 'request')} cut" if event.cut else ", none cut" if in_hand else ""
    return f"{where} in {duration(event.took_s)}{carried}{cut}"


def _checked(event: CheckEnded) -> str:
    unfit = f"{', '.join(event.unfit)} may not serve" if event.unfit else "all may serve"
    warnings = f", {_count(event.warnings, 'warning')} (`pdctl check` shows them)" if event.warnings else ""
    return f"{_count(event.nodes, 'node')} in {duration(event.took_s)}: {unfit}{warnings}"


def _forced(detail: Mapping[str, Any]) -> str:
    """What everybody should hear of a stop."""
    return ", forced (SIGKILL)" if detail.get("forced") else ""


def _detail(detail: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{key} {value}' for key, value in detail.items())})" if detail else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""
