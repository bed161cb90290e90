"""What a finished step has to tell, in words. Pure; what only the journal needs is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

from pdctl.text.duration import duration

_UNTOLD: Final = frozenset(
    {"existed", "inventory", "digest", "pid", "pids", "took_s", "waited_s", "drained_s", "at_fence", "until", "type"}
)
"""What a step notes for the journal alone, or what its line says already: how long it took."""


def step_words(detail: Mapping[str, Any]) -> str:
    """`5 in hand, none cut (4 running, 1 waiting)`. Unknown keys are told as they are, nothing is not."""
    if "was" in detail and "pool" in detail:
        return f"{detail['was'] or 'spare'} -> {detail['pool'] or 'spare'}"
    told = []
    for key, value in detail.items():
        if (word := _WORDS.get(key)) is not None:
            told.append(word(value, detail))
        elif key not in _UNTOLD and value is not False and value not in (None, "", (), [], {}):
            told.append(_otherwise(key, value))
    return ", ".join(text for text in told if text)


def _otherwise(key: str, value: object) -> str:
    name = key.replace("_", " ")
    if value is True:
        return name
    if key.endswith("_s") and isinstance(value, int | float):
        return f"{name.removesuffix(' s')} {duration(value)}"
    return f"{name} {_plain(value)}"


def _plain(value: object) -> str:
    """Anything without brackets and quotes."""
    if isinstance(value, Mapping):
        return ", ".join(f"{_plain(each)} {key}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _at_fence(value: object, detail: Mapping[str, Any]) -> str:
    """How many requests were in hand when traffic was turned away, and where."""
    left = detail.get("at_fence")
    parts = (
        [f"{_share_or_count(name, each)} {name}" for name, each in left.items()] if isinstance(left, Mapping) else []
    )
    cut = f", at least {detail['cut']} cut" if detail.get("cut") else ", none cut" if value else ""
    return f"{value or 'nothing'} in hand{cut}" + (f" ({', '.join(parts)})" if parts else "")


def _left(value: object, detail: Mapping[str, Any]) -> str:
    if not isinstance(value, Mapping) or not value:
        return ""
    return "left: " + ", ".join(f"{_share_or_count(name, each)} {name}" for name, each in value.items())


def _share_or_count(name: str, value: object) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return (f"{value:.0%}" if value >= 0.01 else "<1%") if name.startswith("KV") else f"{value:g}"


def _cut(value: object, detail: Mapping[str, Any]) -> str:
    return f"at least {value} cut" if value and "in_flight_at_fence" not in detail else ""


def _gpus(value: object, detail: Mapping[str, Any]) -> str:
    """`GPUs 0-3,6`."""
    numbers = sorted(value) if isinstance(value, list | tuple) else []
    if not numbers:
        return ""
    breaks = [0, *(place for place, (low, high) in enumerate(pairwise(numbers), 1) if high != low + 1), len(numbers)]
    runs = [numbers[low:high] for low, high in pairwise(breaks)]
    ranges = (str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"GPU{'s' if len(numbers) > 1 else ''} {','.join(ranges)}"


def _broken(value: object, detail: Mapping[str, Any]) -> str:
    if not isinstance(value, Mapping) or not value:
        return ""
    return "broken with " + ", ".join(f"{name} ({reason})" for name, reason in value.items())


_Word = Callable[[Any, Mapping[str, Any]], str]
_WORDS: Final[Mapping[str, _Word]] = {
    "drained": lambda value, detail: "" if value else "not drained",
    "cut": _cut,
    "in_flight_at_fence": _at_fence,
    "left": _left,
    "emptied_s": lambda value, detail: f"empty after {duration(value)}" if detail.get("in_flight_at_fence") else "",
    "unknown_s": lambda value, detail: f"could not be read for {duration(value)}",
    "gpus": _gpus,
    "endpoint": lambda value, detail: f"at {value}",
    "address": lambda value, detail: f"at {value}",
    "url": lambda value, detail: f"at {value}",
    "evicted": lambda value, detail: str(value or ""),
    "evicted_s": lambda value, detail: f"forgotten after {duration(value)}",
    "forced": lambda value, detail: "had to be killed" if value else "",
    "leftovers": lambda value, detail: f"{value} left behind, killed" if value else "",
    "partner": lambda value, detail: f"with {value}" if value else "",
    "skipped": lambda value, detail: "not proven, as asked" if value else "",
    "pairs": lambda value, detail: f"{value} pair{'' if value == 1 else 's'} tried",
    "broken": _broken,
    "pace_s": lambda value, detail: f"timed: {duration(value)}",
    "pace": lambda value, detail: f"not timed: {value}" if value else "",
    "quiet": lambda value, detail: "quiet" if value else "not quiet in time",
    "member": lambda value, detail: "a member again" if value else "no member",
    "why": lambda value, detail: str(value),
    "note": lambda value, detail: str(value),
}
"""By the key that a step notes (`control.steps`): what it says, given the value and all that was noted."""
