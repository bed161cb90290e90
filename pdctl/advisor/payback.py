"""What it costs to go from one split to another, and when that is repaid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pdctl.advisor.predict import Predicted
from pdctl.advisor.split import Split
from pdctl.model.role import Role
from pdctl.perf.layout import InstanceModel, Layout

Predict = Callable[[Split], Predicted]


@dataclass(frozen=True, slots=True)
class Payback:
    """`moves` of one instance each, one after another, in `takes_s`. While one drains and starts again it serves
    nobody: `lost_requests` good ones are missed against staying. Then `gain_per_s` more are served. `after_s`: from the
    start until what was lost is won back; None: never. `refused`: why it cannot be gone that way."""

    moves: int
    takes_s: float
    lost_requests: float
    gain_per_s: float
    after_s: float | None
    refused: str = ""


def payback(now: Predicted, then: Predicted, predict: Predict, *, restart_s: float) -> Payback:
    """From the split of `now` to that of `then`, whose instances are the same but for their roles.

    A donor drains for as long as its longest answers take: about the median E2EL on decode, the 99th percentile of TTFT
    on prefill. `restart_s` is from the stop to the first request of the new role.
    """
    if now.split.colocated or then.split.colocated:
        return Payback(
            0, 0.0, 0.0, 0.0, None, "to or from colocated serving every instance and the router change at once"
        )
    moving = _moving(now.split, then.split)
    donor = Role.PREFILL if len(_of(now.split, Role.PREFILL)) > len(_of(then.split, Role.PREFILL)) else Role.DECODE
    drain_s = now.e2el_median_s.value if donor is Role.DECODE else now.ttft_p99_s.value
    takes_s = lost = 0.0
    left = list(now.split.layout.instances)
    for instance in moving:
        left.remove(instance)
        dip = predict(replace(now.split, layout=replace(now.split.layout, instances=tuple(left))))
        each_s = drain_s + restart_s
        takes_s += each_s
        lost += max(0.0, now.goodput_per_s.value - dip.goodput_per_s.value) * each_s
        left.append(replace(instance, role=_other(donor)))
    gain = then.goodput_per_s.value - now.goodput_per_s.value
    unsure = then.goodput_per_s.off
    after_s = takes_s + lost / gain if gain > unsure else None
    return Payback(len(moving), takes_s, lost, gain, after_s)


def _moving(now: Split, then: Split) -> Sequence[InstanceModel]:
    """The instances of `now` that have another role in `then`."""
    kept = list(then.layout.instances)
    moving = []
    for instance in now.layout.instances:
        if instance in kept:
            kept.remove(instance)
        else:
            moving.append(instance)
    return moving


def _of(split: Split, role: Role) -> Sequence[InstanceModel]:
    layout: Layout = split.layout
    return [instance for instance in layout.instances if instance.role is role]


def _other(role: Role) -> Role:
    return Role.DECODE if role is Role.PREFILL else Role.PREFILL
