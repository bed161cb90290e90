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
    MoveSuggested,
    Quarantined,
    RatioDecided,
    Rebalanced,
    Rebalancing,
    TrafficTurned,
)
from pdctl.text.duration import duration

_DIGEST = 12


def keeper_parts(event: KeeperEvent) -> tuple[str, str, str, tuple[str, ...]]:
    """(tag, text, hint, lines below)"""
    match event:
        case KeepingBegan():
            auto = {"suggest": "suggests moves", "apply": "moves slots between pools"}.get(event.auto, "")
            does = [word for word, on in (("applies what changes", event.applies), ("heals", event.heals)) if on]
            does += [auto] if auto else []
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
        case RatioDecided():
            where = event.ratio if not event.target else f"{event.ratio}, better {event.target}"
            return event.action, f"{where}: {event.reason}", "", ()
        case MoveSuggested():
            return "suggested", f"{event.slot} to {event.pool}: {event.reason}", " ".join(event.command), ()
        case Rebalancing():
            return "rebalancing", f"{event.slot} to {event.pool}: {event.reason}", "", ()
        case Rebalanced() if event.exit_code == 0:
            return "rebalanced", f"{event.slot} serves in {event.pool}", "", ()
        case Rebalanced():
            return "not moved", f"{event.slot} to {event.pool}: {event.cause}", "", ()
        case TrafficTurned():
            said = f"{event.isl}/{event.osl} at {event.rate_per_s:g} requests/s for {duration(event.seconds)}"
            return "traffic", said, "", ()
        case _:
            return event.event, "", "", ()
