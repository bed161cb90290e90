"""Rules on `checks`: thresholds that exist, and numbers that make sense. Which checks there are, `health` knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from pdctl.inventory.finding import Context, Finding, Rule, did_you_mean
from pdctl.model.check_policy import Thresholds

_WHOLE = frozenset(each.name for each in fields(Thresholds) if each.type in ("int", int))


def thresholds(written: Mapping[str, float]) -> Thresholds:
    """Ours, with those that the inventory sets."""
    ours = Thresholds()
    known: dict[str, Any] = {name: value for name, value in written.items() if name in Thresholds.names()}
    return replace(ours, **{name: int(value) if name in _WHOLE else value for name, value in known.items()})


def thresholds_exist(context: Context) -> Iterator[Finding]:
    """Every key is one of ours; bytes and counts are whole; a share is at most 1; nothing is negative."""
    for name, value in context.spec.checks.thresholds.items():
        loc = ("checks", "thresholds", name)
        if name not in Thresholds.names():
            yield Finding(loc, "there is no such threshold", did_you_mean(name, Thresholds.names()), at_key=True)
        elif value < 0:
            yield Finding(loc, f"must not be negative, not {value:g}")
        elif name in _WHOLE and value != int(value):
            yield Finding(loc, f"must be a whole number, not {value:g}")
        elif name.endswith(("_fraction", "_share")) and value > 1:
            yield Finding(loc, f"must be a share of 1, not {value:g}", f"write {value / 100:g} for {value:g} %")


CHECK_RULES: tuple[Rule, ...] = (thresholds_exist,)
