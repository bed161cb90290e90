"""What the events of `watch --apply` and `watch --heal` say in words. Pure."""

from __future__ import annotations

from pdctl.model.keeper_events import (
    ApplyRefused,
    ApplyWaits,
    Healed,
    HealFailed,
    Healing,
    HealWaits,
    InventoryChanged,
    InventoryRejected,
    KeeperEvent,
    KeepingBegan,
    Quarantined,
)
from pdctl.text.duration import duration

_DIGEST = 12


def keeper_parts(event: KeeperEvent) -> tuple[str, str, str, tuple[str, ...]]:
    """(tag, text, hint, lines below)"""
    match event:
        case KeepingBegan():
            does = [word for word, on in (("applies what changes", event.applies), ("heals", event.heals)) if on]
            return "watching", f"{event.inventory}: {' and '.join(does)}", "", ()
        case InventoryChanged():
            return "changed", f"{event.inventory}, now {event.digest[:_DIGEST]}", "", ()
        case InventoryRejected():
            return "rejected", f"{event.cause}; nothing is done", "", event.problems
        case ApplyWaits():
            return "waiting", f"{event.cause}; again in {duration(event.again_s)}", event.hint, ()
        case ApplyRefused():
            return "refused", f"{event.cause}; not tried again until the inventory changes", event.hint, ()
        case Healing():
            return "healing", f"{event.subject}: {event.cause}", "", ()
        case Healed():
            return "healed", f"{event.subject} serves again", "", ()
        case HealFailed():
            return "not healed", f"{event.subject}: {event.cause}", "", ()
        case Quarantined():
            hint = f"find out why it dies, then `pdctl undrain {' '.join(event.slots)}`"
            return "quarantine", f"{event.subject} died again: {event.cause}", hint, ()
        case HealWaits():
            return "left", f"{event.subject}: {event.cause}", event.hint, ()
        case _:
            return event.event, "", "", ()
