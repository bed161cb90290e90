"""What a playbook's events say in words. Pure."""

from __future__ import annotations

from pdctl.model.playbook_events import (
    GateSaw,
    PlaybookEnded,
    PlaybookEvent,
    PlaybookStarted,
    PlaybookStepBegan,
    PlaybookStepEnded,
    PlaybookStepForeseen,
    PlaybookWaiting,
)
from pdctl.text.duration import duration


def playbook_parts(event: PlaybookEvent) -> tuple[str, str, str, tuple[str, ...]]:
    """(tag, text, hint, lines below)"""
    match event:
        case PlaybookStarted():
            how = " goes back:" if event.undoing else " goes on:" if event.resumed else ":"
            return "playbook", f"{event.playbook}{how} {event.about} ({event.steps} steps, {event.inventory})", "", ()
        case PlaybookStepBegan():
            return "undo" if event.undoing else "step", f"{event.number}/{event.of} {event.title}", "", ()
        case PlaybookWaiting():
            held = f"held {duration(event.held_s)} of {duration(event.settle_s)}, " if event.held_s else ""
            seen = tuple(condition(each) for each in event.conditions)
            return "gate", f"{held}{duration(event.left_s)} left", "", seen
        case PlaybookStepEnded():
            tag = {"done": "step done", "begun": "stopped"}.get(event.state, "step failed")
            said = f": {event.said}" if event.said else ""
            return tag, f"{event.title} in {duration(event.took_s)}{said}", event.hint, ()
        case PlaybookStepForeseen():
            later = "; earlier steps may change that" if event.later else ""
            undo = (f"undone by: {', then '.join(event.undo)}",) if event.undo else ()
            return "would", f"{event.step}. {event.title}{later}", "", (*event.lines, *undo)
        case PlaybookEnded():
            count = f"{event.done} of {event.steps} steps"
            text = f"{event.playbook}: {event.outcome}, {count} in {duration(event.took_s)}"
            return "end", f"{text}; {event.text}" if event.text else text, event.hint, ()
        case _:
            return event.event, "", "", ()


def condition(seen: GateSaw) -> str:
    """`attainment >= 0.95: 0.91`, with what is unknown said so."""
    sign = "?" if seen.met is None else "ok" if seen.met else "no"
    return f"[{sign}] {seen.wanted}: {seen.saw}"
