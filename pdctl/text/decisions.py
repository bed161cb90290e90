"""A decision of `watch --auto` as it stands in the book, in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def decision_line(entry: Mapping[str, Any]) -> str:
    """What was decided, and why. Entries of other versions are shown as far as they are understood."""
    reason = str(entry.get("reason") or entry.get("cause") or "")
    match entry.get("event"):
        case "ratio_decided":
            better = f", better {entry['target']}" if entry.get("target") else ""
            return f"{entry.get('action', '?')} {entry.get('ratio', '?')}{better}: {reason}"
        case "move_suggested":
            return f"suggested: {' '.join(map(str, entry.get('command') or ()))}: {reason}"
        case "rebalancing":
            return f"moves {entry.get('slot', '?')} to {entry.get('pool', '?')}: {reason}"
        case "rebalanced" if entry.get("exit_code") == 0:
            return f"moved {entry.get('slot', '?')} to {entry.get('pool', '?')}"
        case "rebalanced":
            return f"not moved, {entry.get('slot', '?')} to {entry.get('pool', '?')}: {reason}"
        case other:
            return f"{other}: {reason}"
