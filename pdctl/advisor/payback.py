"""What it costs to go from one split to another, and when that is repaid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pdctl.advisor.predict import Predicted
from pdctl.advisor.split import Fleet, Split, split_of
from pdctl.model.role import Role

Predict = Callable[[Split], Predicted]


@dataclass(frozen=True, slots=True)
class Payback:
    """`moves` of one slot each, one after another, in `takes_s`. While one drains and starts again it serves nobody:
    `lost_requests` good ones are missed against staying. Then `gain_per_s` more are served. `after_s`: from the start
    until what was lost is won back; None: never. `refused`: why it cannot be gone that way."""

    moves: int
    takes_s: float
    lost_requests: float
    gain_per_s: float
    after_s: float | None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class _Move:
    """One slot changes its role: which role gives it, and what serves meanwhile."""

    donor: Role
    meanwhile: Split


def payback(fleet: Fleet, now: Predicted, then: Predicted, predict: Predict, *, restart_s: float) -> Payback:
    """From the split of `now` to that of `then`, both of `fleet`.

    A donor drains for as long as its longest answers take: about the median E2EL on decode, the 99th percentile of TTFT
    on prefill. `restart_s` is from the stop to the first request of the new role.
    """
    if now.split.prefill is None or then.split.prefill is None:
        return Payback(0, 0.0, 0.0, 0.0, None, "to or from colocated serving all slots and the router change at once")
    moves = list(_moves(fleet, dict(now.split.prefill), then.split.prefill))
    takes_s = lost = 0.0
    for move in moves:
        drain_s = now.e2el_median_s.value if move.donor is Role.DECODE else now.ttft_p99_s.value
        dip = predict(move.meanwhile)
        takes_s += drain_s + restart_s
        lost += max(0.0, now.goodput_per_s.value - dip.goodput_per_s.value) * (drain_s + restart_s)
    gain = then.goodput_per_s.value - now.goodput_per_s.value
    repaid = gain > then.goodput_per_s.off
    return Payback(len(moves), takes_s, lost, gain, takes_s + lost / gain if repaid else None)


def _moves(fleet: Fleet, counts: dict[str, int], wanted: Mapping[str, int]) -> Iterator[_Move]:
    """Slot by slot, those that leave decode first where both go: prefill's queue is what answers wait in."""
    for kind in sorted(fleet.kinds, key=lambda kind: counts[kind.name] > wanted[kind.name]):
        while counts[kind.name] != wanted[kind.name]:
            grows = counts[kind.name] < wanted[kind.name]
            left = {**counts, kind.name: counts[kind.name] - (not grows)}
            yield _Move(Role.DECODE if grows else Role.PREFILL, split_of(fleet.without(kind.name), left))
            counts[kind.name] += 1 if grows else -1
