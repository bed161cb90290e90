"""Which workload is ranked: the observed one, or what an operator typed: `isl=8192 osl=1024 rate=2`. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pydantic_core import PydanticCustomError

from pdctl.advisor.observed import Observed
from pdctl.advisor.rank import Objective
from pdctl.errors import TooThin
from pdctl.inventory.scalars import check_duration
from pdctl.model.deployment import Deployment
from pdctl.tui.advising import Query

MOST_TOKENS: Final = 1 << 20
MOST_USERS: Final = 4096
MOST_PER_S: Final = 1000.0
HINT: Final = (
    "isl=8192 osl=1024 rate=2   (or concurrency=64; ttft=1s itl=50ms: other targets; what is left out: observed)"
)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What was typed; None: as it is observed, and targets as the inventory says."""

    isl: float | None = None
    osl: float | None = None
    rate: float | None = None
    concurrency: int | None = None
    ttft: float | None = None
    itl: float | None = None

    @property
    def text(self) -> str:
        """As it could be typed again."""
        said = [f"{name}={value:g}" for name in _KINDS if (value := getattr(self, name)) is not None]
        return " ".join(f"{each}s" if each.startswith(("ttft", "itl")) else each for each in said)


def parse_what_if(text: str) -> WhatIf:
    """Raises ValueError, with one line, for what is none."""
    found: dict[str, float] = {}
    for term in text.replace(",", " ").split():
        name, equals, value = term.partition("=")
        name = _SHORT.get(name, name)
        if not equals or name not in _KINDS:
            raise ValueError(f"{term!r} is not understood: isl=8192 osl=1024 rate=2")
        if name in found:
            raise ValueError(f"{name} is said twice")
        try:
            found[name] = _KINDS[name](value)
        except (ValueError, PydanticCustomError):
            raise ValueError(f"{name}={value}: {_WANTED[name]}") from None
    if not found:
        raise ValueError("nothing was typed: isl=8192 osl=1024 rate=2")
    if "rate" in found and "concurrency" in found:
        raise ValueError("rate or concurrency, not both")
    users = found.pop("concurrency", None)
    return WhatIf(**found, concurrency=None if users is None else int(users))


def query_of(deployment: Deployment, traffic: Observed | None, typed: WhatIf | None, objective: Objective) -> Query:
    """The question to put. Raises TooThin where what was typed leaves out what is not observed either."""
    slo = deployment.slo
    if typed is None:
        assert traffic is not None
        source = f"observed: {traffic.words}"
        return Query(
            deployment, traffic.isl, traffic.osl, traffic.rate_per_s, None, slo, objective, source, traffic.notes
        )
    known: Mapping[str, float] = (
        {} if traffic is None else {"isl": traffic.isl, "osl": traffic.osl, "rate": traffic.rate_per_s}
    )
    isl, osl = typed.isl or known.get("isl"), typed.osl or known.get("osl")
    rate = None if typed.concurrency else typed.rate or known.get("rate")
    missing = [name for name, value in (("isl", isl), ("osl", osl)) if value is None]
    missing += ["rate"] if rate is None and typed.concurrency is None else []
    if missing or isl is None or osl is None:
        raise TooThin(
            f"neither typed nor observed: {', '.join(missing)}", hint="type all of it: isl=8192 osl=1024 rate=2"
        )
    slo = replace(slo, ttft_s=typed.ttft or slo.ttft_s, itl_s=typed.itl or slo.itl_s)
    load = f"{typed.concurrency} at once" if rate is None else f"{rate:.3g} requests/s"
    return Query(deployment, isl, osl, rate, typed.concurrency, slo, objective, f"{isl:.0f}/{osl:.0f} tokens, {load}")


def command_of(typed: WhatIf | None, query: Query | None, objective: Objective) -> str:
    """The command that says the same."""
    if typed is None or query is None:
        given = "--observed"
    else:
        load = f"--rate {query.rate_per_s:g}" if query.rate_per_s is not None else f"--concurrency {query.users}"
        given = f"--isl {query.isl:.0f} --osl {query.osl:.0f} {load}"
        targets = [f"{name}={value:g}s" for name, value in (("ttft", typed.ttft), ("itl", typed.itl)) if value]
        given += f" --slo {','.join(targets)}" if targets else ""
    return f"pdctl advise {given} --objective {objective}"


def _tokens(text: str) -> float:
    return _within(float(text[:-1]) * 1024 if text[-1:] in ("k", "K") else float(text), 1, MOST_TOKENS)


def _users(text: str) -> float:
    return _within(int(text), 1, MOST_USERS)


def _rate(text: str) -> float:
    return _within(float(text), 1e-6, MOST_PER_S)


def _target(text: str) -> float:
    return _within(check_duration(float(text) if text.replace(".", "", 1).isdigit() else text), 1e-6, 86400.0)


def _within(value: float, low: float, high: float) -> float:
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError
    return value


_KINDS: Final[Mapping[str, Callable[[str], float]]] = {
    "isl": _tokens,
    "osl": _tokens,
    "rate": _rate,
    "concurrency": _users,
    "ttft": _target,
    "itl": _target,
}
_SHORT: Final = {"users": "concurrency", "in": "isl", "out": "osl"}
_WANTED: Final = {
    "isl": "tokens of a prompt, such as 8192 or 8k",
    "osl": "tokens of an answer, such as 1024 or 1k",
    "rate": "requests a second, such as 0.5",
    "concurrency": "how many at once, such as 64",
    "ttft": "a time, such as 1s",
    "itl": "a time, such as 50ms",
}
