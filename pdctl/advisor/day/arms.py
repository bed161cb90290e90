"""One day played several ways, and what each came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pdctl.advisor.day.controls import ByPolicy, Foreseen, Greedy
from pdctl.advisor.forecast import Forecast
from pdctl.advisor.policy import Decision, Rebalancer, Settings
from pdctl.perf.closed_form import ClosedForm
from pdctl.perf.days.fleet import Control, FleetModel, Played, VirtualFleet
from pdctl.perf.days.ratio import Ratio, ratios
from pdctl.perf.days.scenes import Scene
from pdctl.perf.workload import Asked, Workload


@dataclass(frozen=True, slots=True)
class Arm:
    """`name`: `static 2P3D`, `colocated 5M`, `policy`, `greedy`, `oracle`. `on_right`: the share of time on the split
    that suits the moment (None: nobody can say). `decisions`: the policy's, all of them."""

    name: str
    start: str
    goodput_per_s: float
    attainment: float
    moves: int
    reversals_per_h: float
    refused: int
    on_right: float | None
    played: Played
    decisions: Sequence[Decision] = ()


@dataclass(slots=True)
class DayTable:
    """Plays a scene's arms, each at most once. `restart_s` is what a move takes from drained to serving."""

    scene: Scene
    restart_s: float
    seed: int = 0
    tick_s: float = 15.0
    queue_limit: int | None = None
    settings: Settings | None = None
    model: FleetModel = field(init=False)
    closed: ClosedForm = field(init=False)
    ratios: tuple[Ratio, ...] = field(init=False)
    _fixed: dict[Ratio | None, Arm] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model = FleetModel.of(self.scene.profile, queue_limit=self.queue_limit)
        self.closed = ClosedForm.of(self.scene.profile, self.scene.slo)
        self.ratios = ratios(self.scene.instances)

    def fixed(self, ratio: Ratio | None) -> Arm:
        """One split throughout; None: all instances colocated."""
        if ratio not in self._fixed:
            name = f"static {ratio}" if ratio else f"colocated {self.scene.instances}M"
            played = self._play(self.scene.workload, ratio, None, 0.0)
            self._fixed[ratio] = _arm(name, ratio, self.scene.instances, played, self._on_right(ratio, played))
        return self._fixed[ratio]

    def all_fixed(self) -> list[Arm]:
        """Every split that does not move, and the colocated fleet."""
        return [self.fixed(ratio) for ratio in (*self.ratios, None)]

    @property
    def best_fixed(self) -> Ratio:
        """The split that is best if it must not change: known in hindsight only."""
        return max(self.ratios, key=lambda ratio: self.fixed(ratio).attainment)

    def policy(self, start: Ratio) -> Arm:
        settings = self.settings or Settings(restart_s=self.restart_s)
        control = ByPolicy(Rebalancer(self.closed, settings))
        return self._controlled("policy", start, control, self.restart_s, control.decisions)

    def greedy(self, start: Ratio) -> Arm:
        return self._controlled("greedy", start, Greedy(Forecast(self.closed)), self.restart_s)

    def oracle(self) -> Arm:
        """Goes by the best split of every bin, known ahead, with moves that cost no restart."""
        schedule = self.schedule()
        return self._controlled("oracle", schedule[0][1], Foreseen(schedule), 0.0)

    def schedule(self) -> list[tuple[float, Ratio]]:
        """(until, split): what the scene was made for, or else the split that meets most of a bin's requests when those
        of the bin and the one before it are played alone; it changes only for one that meets more."""
        if self.scene.right:
            return list(self.scene.right)
        found: list[tuple[float, Ratio]] = []
        for until_s, met in self._bins():
            best = max(met, key=lambda ratio: met[ratio])
            if found and met[found[-1][1]] >= met[best]:
                best = found[-1][1]
            found.append((until_s, best))
        return found

    def _bins(self) -> Iterator[tuple[float, Mapping[Ratio, int]]]:
        bin_s, asked = self.scene.bin_s, self.scene.workload.asked
        bins: list[list[Asked]] = [[] for _ in range(int(asked[-1].at_s / bin_s) + 1)]
        for one in asked:
            bins[int(one.at_s / bin_s)].append(one)
        for place, own in enumerate(bins):
            before = bins[place - 1] if place else []
            alone = Workload((*before, *own))
            met = {ratio: sum(self._play(alone, ratio, None, 0.0).met[len(before) :]) for ratio in self.ratios}
            yield (place + 1) * bin_s, met

    def _controlled(
        self, name: str, start: Ratio, control: Control, restart_s: float, decisions: Sequence[Decision] = ()
    ) -> Arm:
        played = self._play(self.scene.workload, start, control, restart_s)
        right = self._on_right(start, played)
        return _arm(name, start, self.scene.instances, played, right, decisions)

    def _play(self, workload: Workload, start: Ratio | None, control: Control | None, restart_s: float) -> Played:
        scene = self.scene
        fleet = VirtualFleet(self.model, scene.instances, start, scene.slo, restart_s=restart_s, seed=self.seed)
        return fleet.play(workload, control, every_s=self.tick_s)

    def _on_right(self, start: Ratio | None, played: Played) -> float | None:
        if not self.scene.right or start is None:
            return None
        return share_on(self.scene.right, start, played)


def share_on(right: Sequence[tuple[float, Ratio]], start: Ratio, played: Played) -> float:
    """The share of time that the fleet stood on the split of the moment; a move counts as on neither."""
    stands: list[tuple[float, float, Ratio]] = []
    at_s, ratio = 0.0, start
    for turned in played.turned:
        stands.append((at_s, turned.began_s, ratio))
        at_s, ratio = turned.up_s or played.span_s, ratio.moved(turned.donor)
    stands.append((at_s, played.span_s, ratio))
    on_s, begin_s = 0.0, 0.0
    for until_s, wanted in right:
        on_s += sum(
            max(0.0, min(until_s, end_s) - max(begin_s, since_s)) for since_s, end_s, at in stands if at == wanted
        )
        begin_s = until_s
    return on_s / played.span_s if played.span_s else 0.0


def _arm(
    name: str,
    start: Ratio | None,
    instances: int,
    played: Played,
    on_right: float | None,
    decisions: Sequence[Decision] = (),
) -> Arm:
    return Arm(
        name,
        str(start) if start else f"{instances}M",
        played.goodput_per_s,
        played.attainment,
        len(played.turned),
        played.reversals_per_h,
        played.refused,
        on_right,
        played,
        decisions,
    )
