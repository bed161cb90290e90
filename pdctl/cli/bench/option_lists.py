"""What the options of `pdctl bench` write in one word: lists, ranges, targets. Pure; errors are ValueError."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from pdctl.inventory.scalars import check_duration
from pdctl.model.deployment import Slo

T = TypeVar("T")
_MOST = 1000
_SLO_KEYS = ("ttft", "itl", "attainment")


def whole(text: str) -> int:
    """A number from 1 on."""
    value = _integer(text)
    if value < 1:
        raise ValueError(f"{text.strip()} is no number from 1 on")
    return value


def count(text: str) -> int:
    """A number from 0 on."""
    value = _integer(text)
    if value < 0:
        raise ValueError(f"{text.strip()} is no number from 0 on")
    return value


def counts(text: str) -> tuple[int, ...]:
    """`160,320`: numbers from 1 on, none twice."""
    return _once([whole(part) for part in _parts(text)])


def seeds(text: str) -> tuple[int, ...]:
    """`0,1,2`: numbers from 0 on, none twice."""
    return _once([count(part) for part in _parts(text)])


def positive(text: str) -> float:
    """A number above 0; `inf` is one."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text.strip()!r} is no number") from None
    if not value > 0:
        raise ValueError(f"{text.strip()} is not above 0")
    return value


def rates(text: str) -> tuple[float, ...]:
    """`1,2,5` or `0.5-10:0.5` (from-to:step, both ends included), or both in one list; `inf`: no rate of its own."""
    found: list[float] = []
    for part in _parts(text):
        bounds, colon, step = part.partition(":")
        if not colon:
            found.append(positive(part))
            continue
        low, dash, high = bounds.partition("-")
        if not dash:
            raise ValueError(f"{part!r} is not from-to:step, as 0.5-10:0.5")
        found += _steps(positive(low), positive(high), positive(step), part)
    return _once(found)


def seconds(text: str) -> float:
    """`30s`, `2m`, `500ms`, or a number of seconds."""
    plain = text.strip()
    return check_duration(float(plain) if plain.replace(".", "", 1).isdigit() else plain)


def slo(text: str) -> Slo:
    """`ttft=1s,itl=50ms[,attainment=0.9]`."""
    found: dict[str, float] = {}
    for part in _parts(text):
        key, equals, value = part.partition("=")
        if not equals or key.strip() not in _SLO_KEYS:
            raise ValueError(f"{part!r} is none of {', '.join(f'{each}=…' for each in _SLO_KEYS)}")
        found[key.strip()] = positive(value) if key.strip() == "attainment" else seconds(value)
    if not {"ttft", "itl"} <= found.keys():
        raise ValueError("both ttft= and itl= are needed, as ttft=1s,itl=50ms")
    share = found.get("attainment", 0.9)
    if share > 1:
        raise ValueError(f"an attainment is a share, at most 1: {share:g}")
    return Slo(found["ttft"], found["itl"], share)


def one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    """One of the names."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"is none of {', '.join(names)}")
        return text

    return parse


def _integer(text: str) -> int:
    plain = text.strip()
    if not plain.isdigit():
        raise ValueError(f"{plain!r} is no whole number")
    return int(plain)


def _parts(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError("something is missing beside a comma")
    return parts


def _once(values: list[T]) -> tuple[T, ...]:
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise ValueError(f"{twice[0]} is there twice")
    return tuple(values)


def _steps(low: float, high: float, step: float, part: str) -> list[float]:
    if not all(map(math.isfinite, (low, high, step))) or high < low:
        raise ValueError(f"{part!r} does not go up from-to:step")
    number = int((high - low) / step + 1e-9) + 1
    if number > _MOST:
        raise ValueError(f"{part!r} is {number} rates; at most {_MOST} are taken")
    return [round(low + place * step, 9) for place in range(number)]
