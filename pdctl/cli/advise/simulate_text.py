"""A played day in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pdctl.advisor.day.arms import Arm
from pdctl.perf.days.scenes import Scene

_HEAD = (
    f"{'arm':<16} {'from':<6} {'good req/s':>10} {'attained':>9} {'moves':>6} {'reversals/h':>12} {'on station':>11}"
)


def lines(scene: Scene, restart_s: float, arms: Sequence[Arm]) -> Iterator[str]:
    """The table, then each policy's moves with their reasons."""
    asked, slo = scene.workload.asked, scene.slo
    yield (
        f"{scene.name}: {len(asked)} requests in {asked[-1].at_s / 3600:.1f} h on {scene.instances} instances of "
        f"{scene.profile.name}; TTFT {slo.ttft_s:g} s, mean ITL {slo.itl_s * 1e3:g} ms; "
        f"a move takes {restart_s:g} s once drained"
    )
    yield ""
    yield _HEAD
    for arm in arms:
        on = "-" if arm.on_right is None else f"{arm.on_right:.0%}"
        yield (
            f"{arm.name:<16} {arm.start:<6} {arm.goodput_per_s:>10.3f} {arm.attainment:>9.1%} {arm.moves:>6} "
            f"{arm.reversals_per_h:>12.1f} {on:>11}"
        )
        if arm.refused:
            yield f"{'':<16} refused {arm.refused}"
    for arm in arms:
        moved = [one for one in arm.decisions if one.donor is not None]
        if moved:
            yield ""
            yield f"{arm.name}: what it moved, and why"
        for one in moved:
            yield f"  {_clock(one.at_s)}  {one.ratio} -> {one.target}  {one.reason}"


def as_json(scene: Scene, restart_s: float, seed: int, arms: Sequence[Arm]) -> dict[str, Any]:
    """Everything in the table; of the decisions the moves, with their numbers."""
    return {
        "day": scene.name,
        "requests": len(scene.workload.asked),
        "instances": scene.instances,
        "profile": scene.profile.name,
        "slo": {"ttft_s": scene.slo.ttft_s, "itl_mean_s": scene.slo.itl_s},
        "restart_s": restart_s,
        "seed": seed,
        "arms": [
            {
                "arm": arm.name,
                "start": arm.start,
                "goodput_per_s": arm.goodput_per_s,
                "attainment": arm.attainment,
                "moves": arm.moves,
                "reversals_per_h": arm.reversals_per_h,
                "refused": arm.refused,
                "on_station": arm.on_right,
                "turned": [
                    {"at_s": one.began_s, "donor": one.donor.value, "drained_s": one.drained_s, "up_s": one.up_s}
                    for one in arm.played.turned
                ],
                "decisions": [
                    {
                        "at_s": one.at_s,
                        "from": str(one.ratio),
                        "target": str(one.target),
                        "reason": one.reason,
                        "numbers": dict(one.numbers),
                    }
                    for one in arm.decisions
                    if one.donor is not None
                ],
            }
            for arm in arms
        ],
    }


def _clock(at_s: float) -> str:
    minutes, seconds = divmod(round(at_s), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
