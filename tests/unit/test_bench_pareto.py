"""The Pareto front: of made-up points, of measured runs, and beside what a profile lets expect."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdctl.bench.drivers.scripted import ScriptedDriver, answered
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.bench.runs.definition import define, note_target
from pdctl.bench.runs.directory import open_run
from pdctl.bench.runs.meta import meta_of
from pdctl.bench.runs.runner import Player
from pdctl.bench.sizing.pareto import Spot, best_within, dominates, front, lead
from pdctl.cli.main import main
from pdctl.control.clock import SystemClock
from pdctl.control.execute import Interrupt
from pdctl.model.deployment import Slo
from pdctl.model.outcome import Outcome
from pdctl.perf.workload import Asked, Workload

spots = st.lists(
    st.builds(Spot, st.sampled_from("abc"), st.just("c1"), st.integers(0, 6).map(float), st.integers(0, 6).map(float)),
    max_size=12,
)


@given(spots)
def test_the_front_is_exactly_what_none_dominates(found: list[Spot]) -> None:
    best = front(found)
    assert sorted(map(id, best)) == sorted(
        id(spot) for spot in found if not any(dominates(other, spot) for other in found)
    )
    assert [spot.tpsu for spot in best] == sorted(spot.tpsu for spot in best)


@given(spots, st.floats(0, 7))
def test_the_leader_keeps_its_promise_and_none_that_does_gives_more(found: list[Spot], tpsu: float) -> None:
    told = lead(found, tpsu)
    fast = [spot for spot in found if spot.tpsu >= tpsu]
    assert (told.best is None) == (not fast)
    if told.best is not None:
        assert told.best.tpsu >= tpsu
        assert told.best.tpsg == max(spot.tpsg for spot in fast)
    if told.second is not None and told.best is not None:
        assert told.second.deployment != told.best.deployment
        assert told.gain is None or told.gain >= 0


def test_the_best_within_targets_is_one_of_every_deployment_that_keeps_them() -> None:
    points = [Spot("a", "c4", 50, 100, 1.0), Spot("a", "c8", 40, 180, 0.9), Spot("a", "c16", 20, 300, 0.3)]
    points += [Spot("b", "c4", 60, 200, 0.95), Spot("c", "c4", 90, 900, None)]
    assert [(spot.deployment, spot.load) for spot in best_within(points, 0.9)] == [("b", "c4"), ("a", "c8")]


def slower(factor: float, *, failing: bool = False) -> ScriptedDriver:
    """Answers in the time of `scripted.answered` times `factor`, or none."""

    def answer(index: int, asked: Asked) -> Row:

        row = answered(index, asked)
        if failing:
            return replace(row, outcome=Outcome.ERROR, error="HTTP 500")
        return replace(row, e2el_s=row.e2el_s * factor, ttft_s=0.1 * factor)

    return ScriptedDriver(answer)


@pytest.fixture
async def run(tmp_path: Path) -> Path:
    """`split` on 3 GPUs at 1 and 2 users, `agg-tp4` on 4 that is half as fast, and `broken` that answers nothing."""
    path = tmp_path / "run"
    points = {
        name: [Point(name, "64/8", f"c{users}", 0, Workload((Asked(0.0, 64, 8),) * 4, users)) for users in (1, 2)]
        for name in ("split", "agg-tp4", "broken")
    }
    targets = {name: Target("http://x", "m", name, gpus=3 if name == "split" else 4) for name in points}
    notes = {name: note_target(target) for name, target in targets.items()}
    every = [point for each in points.values() for point in each]
    definition = define("scripted", notes, every, slo=Slo(1.0, 0.05, 0.9))
    drivers = {"split": slower(1), "agg-tp4": slower(2), "broken": slower(1, failing=True)}
    with open_run(path, meta_of(definition, run="r", started="2026-01-01T00:00:00Z")) as directory:
        for name, mine in points.items():
            driver = drivers[name]
            player = Player(directory, driver, targets, lambda event: None, Interrupt(), SystemClock())
            await player.play(mine)
    return path


def pareto(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "pareto", *argv])
    printed = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, printed.out, printed.err


def is_there(path: str) -> bool:
    return Path(path).exists()


async def test_measured_deployments_are_compared(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = pareto(capsys, str(run), "--tpsu", "1,1000", "--ascii")
    assert code == 0
    assert "2 of 4 points are beaten in both by another" in out
    assert "none is as fast" in out
    assert "left out: broken at c1: 4 of 4 requests failed" in out
    assert "within TTFT 1s, P99 ITL 50ms for 90% of the requests" in out


async def test_json_has_points_front_and_their_rows(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = pareto(capsys, str(run), "--json", "--tpsu", "1")
    body = json.loads(out)
    assert {(point["deployment"], point["on_front"]) for point in body["points"]} == {
        ("split", True),
        ("agg-tp4", False),
    }
    assert all(map(is_there, (point["source"] for point in body["points"])))
    (told,) = body["leads"]
    assert told["best"]["deployment"] == "split"
    assert told["gain"] == pytest.approx(2 * 4 / 3 - 1, rel=0.01)


async def test_a_profile_of_the_same_shape_stands_beside_what_was_measured(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "p.csv"
    rows = "prefill,1,1,5000\ndecode,2,1,80\naggregated,4,1,60\n"
    profile.write_text(f"# ISL 64, OSL 8\nphase,tp,concurrency,tok_s\n{rows}")
    _, out, _ = pareto(capsys, str(run), "--profile", str(profile), "--json")
    body = json.loads(out)
    assert len(body["points"]) == 6
    assert all(spot["measured"] for spot in body["front"]), "what was not measured beats nobody"
    (beside,) = body["measured_beside_matched"]
    assert beside["measured"]["deployment"] == "agg-tp4"
    assert beside["expected"]["tpsg"] == 15
    _, text, _ = pareto(capsys, str(run), "--profile", str(profile))
    assert text.count("Pareto (upper right") == 1


def test_nothing_to_look_at_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert pareto(capsys)[0] == 64
