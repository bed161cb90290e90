"""Does the match say what the profile's own columns say? Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pdctl.bench.sizing.match import Matched

_RELATIVE = 1e-6


@dataclass(frozen=True, slots=True)
class Disagreement:
    """`stated` is as the profile has it, at `place`."""

    place: str
    column: str
    ours: float
    stated: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of `compared` rows that state what they should match to, all but those of `disagreements` do."""

    compared: int
    agreed: int
    disagreements: tuple[Disagreement, ...]


def columns_of(row: Matched) -> dict[str, float]:
    """What a row of the published tables holds, by the names of its columns."""
    return {
        "d_tp": row.point.width.tp,
        "d_gpus": row.point.width.gpus,
        "d_concurrency": _plain(row.point.concurrency),
        "decode_tok_s": row.point.tps,
        "prefill_demand_tok_s": row.demand_tps,
        **{f"p_gpus_{width.label}": gpus for width, gpus in row.p_gpus.items()},
        "best_p_gpus": row.best_p_gpus,
        "total_gpus": row.total_gpus,
        "tpsu": row.tpsu,
        "tpsg": row.tpsg,
    }


def agree(rows: Iterable[Matched]) -> Agreement:
    """Compare every row whose profile row carries such columns."""
    compared, wrong, found = 0, 0, list[Disagreement]()
    for row in rows:
        if row.point.claim is None:
            continue
        differences = list(_differences(row))
        compared += 1
        wrong += bool(differences)
        found += differences
    return Agreement(compared, compared - wrong, tuple(found))


def same(ours: float, stated: str) -> bool:
    """Whether `ours` is the figure that was written, to as many digits as were written."""
    text = stated.replace(",", "").strip()
    value = float(text)
    decimals = re.fullmatch(r"[-+]?\d*\.(\d+)", text)
    half_a_digit = 0.5 * 10.0 ** -(len(decimals[1]) if decimals else 0)
    return abs(ours - value) <= max(_RELATIVE * abs(value), half_a_digit * (1 + _RELATIVE))


def _plain(value: float) -> float:
    """A whole number as one."""
    return int(value) if value == int(value) else value


def _differences(row: Matched) -> Iterator[Disagreement]:
    assert row.point.claim is not None
    ours = columns_of(row)
    for column, stated in row.point.claim.stated.items():
        if column not in ours:
            yield Disagreement(row.point.claim.place, column, float("nan"), stated)
        elif not same(ours[column], stated):
            yield Disagreement(row.point.claim.place, column, ours[column], stated)
