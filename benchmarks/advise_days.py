"""Days on a virtual fleet: the rebalancing policy against every split that does not move, greedy moves and the oracle.

    python benchmarks/advise_days.py [--seeds 7,11] [--days smooth,bursts,alternation,ramp] [--walk] [--closed-forms]

One line a run. A day of 24 h takes about ten seconds an arm. `--closed-forms` prints how far the closed forms that the
policy goes by are from the iteration-level simulation.
"""

from __future__ import annotations

import argparse

from pdctl.advisor.day.arms import DayTable
from pdctl.perf.closed_form import ClosedForm, Offer
from pdctl.perf.days.fleet import FleetModel, VirtualFleet
from pdctl.perf.days.make import Phase, Shape, phased
from pdctl.perf.days.ratio import ratios
from pdctl.perf.days.scenes import SCENES, Scene

SHORT_H = 8 * 300 / 3600
"""The walk with phases of 300 s."""
OFFERS = {
    "smooth": [(8192, 1024, 1.2), (8192, 1024, 1.6), (8192, 1024, 2.2), (4000, 4000, 2.0), (1024, 8192, 1.4)],
    "walk": [(14000, 30, 3.0), (14000, 3, 3.8), (14000, 80, 2.0), (14000, 150, 1.2), (14000, 400, 0.6)],
}


def line(scene: Scene, seed: int, restart_s: float, *, oracle: bool) -> str:
    table = DayTable(scene, restart_s, seed=seed)
    best, colocated = table.fixed(table.best_fixed), table.fixed(None)
    ours, greedy = table.policy(table.best_fixed), table.greedy(table.best_fixed)
    best_of_all = f"{table.oracle().attainment:7.1%}" if oracle else "      -"
    return (
        f"{scene.name:<12} seed {seed:<3} move {restart_s:>4.0f} s  {best.name} {best.attainment:6.1%}  "
        f"colocated {colocated.attainment:6.1%}  oracle {best_of_all}  "
        f"policy {ours.attainment:6.1%} ({ours.moves} moves, {ours.reversals_per_h:.1f} reversals/h)  "
        f"greedy {greedy.attainment:6.1%} ({greedy.moves}, {greedy.reversals_per_h:.1f})"
    )


def closed_forms(name: str) -> None:
    """Per offer and split: the share that the simulation finds good, and the closed forms'."""
    scene = SCENES[name](0, None, 1.0)
    closed, model = ClosedForm.of(scene.profile, scene.slo), FleetModel.of(scene.profile)
    off = []
    for isl, osl, rate in OFFERS[name]:
        offer, cells = Offer(rate, isl, osl), []
        shape = Shape((int(isl * 0.9), int(isl * 1.1)), (max(1, int(osl * 0.8)), int(osl * 1.2)))
        load = phased((Phase(3600.0, rate, shape),), 3)
        for ratio in ratios(scene.instances):
            fleet = VirtualFleet(model, scene.instances, ratio, scene.slo, restart_s=0.0)
            found = fleet.play(load).attainment
            said = closed.prefill_met(ratio.prefill, offer) * closed.decode_met(ratio.decode, offer)
            off.append(abs(found - said))
            cells.append(f"{ratio} {found:4.0%}/{said:4.0%}")
        print(f"{isl:>6}/{osl:<5} {rate:>4}/s  " + "  ".join(cells))
    print(f"{scene.profile.name}: mean error {sum(off) / len(off):.1%} of all requests, worst {max(off):.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="7,11")
    parser.add_argument("--days", default="")
    parser.add_argument("--walk", action="store_true")
    parser.add_argument("--closed-forms", action="store_true")
    asked = parser.parse_args()
    for seed in map(int, asked.seeds.split(",")):
        for day in filter(None, asked.days.split(",")):
            print(line(SCENES[day](seed, None, 1.0), seed, 300.0, oracle=True), flush=True)
        for hours, rate in ((None, 1.0), (SHORT_H, 0.8)) if asked.walk else ():
            for restart_s in (0.0, 120.0, 300.0):
                print(line(SCENES["walk"](seed, hours, rate), seed, restart_s, oracle=True), flush=True)
    if asked.closed_forms:
        for name in OFFERS:
            closed_forms(name)


if __name__ == "__main__":
    main()
