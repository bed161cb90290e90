"""Benchmark runs, and profiles made of them, as `pdctl advise fit` reads and keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.bench.calibration import measurements, served_by
from pdctl.bench.drivers.scripted import ScriptedDriver, answered
from pdctl.bench.point import Point
from pdctl.bench.profile_store import profiles_directory, read_profile, save_profile, stored_profiles
from pdctl.bench.row import Row
from pdctl.bench.runs.read import read_run
from pdctl.errors import BenchError, UsageError
from pdctl.model.deployment import Parallel
from pdctl.perf.builtin_profiles import QWEN3_235B_MI300X, R1_MI300X
from pdctl.perf.workload import Asked
from tests.unit.bench_runs import play, point


@pytest.mark.parametrize(
    ("words", "layout", "parallel"),
    [
        ("prefill 1x tp1 dp8 ep, decode 2x tp1 dp8 ep; moriio write", "1P2D", Parallel(1, 8, True)),
        ("mixed 2x tp4 dp1; none read", "2M", Parallel(4, 1)),
        ("long-prefill 1x tp4 dp1, prefill 1x tp4 dp1, decode 2x tp4 dp1; nixl read", "2P2D", Parallel(4, 1)),
    ],
)
def test_what_served_is_read_from_the_runs_note(words: str, layout: str, parallel: Parallel) -> None:
    served = served_by(words)
    assert served is not None
    assert (served.layout, served.parallel) == (layout, parallel)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "a 1x tp4 dp1, b 1x tp4 dp1; moriio read",
        "prefill 1x tp4 dp1, decode 1x tp1 dp4; moriio read",
        "decode 2x tp1 dp1",
    ],
)
def test_pools_that_do_not_tell_are_not_guessed(words: str) -> None:
    assert served_by(words) is None


async def measured(path: Path, points: Sequence[Point]) -> Path:
    """A run at `path`, with the scripted driver's figures."""
    await play(path, points, ScriptedDriver())
    return path


async def test_a_point_becomes_the_requests_that_were_served_and_what_came_of_them(tmp_path: Path) -> None:
    path = await measured(tmp_path / "run", [point(20, load="c2"), point(20, load="c4", concurrency=4)])
    found = measurements([read_run(path)], "1M")
    assert [one.workload.concurrency for one in found.runs] == [2, 4]
    first = found.runs[0]
    assert len(first.workload.asked) == 20
    assert (first.layout, first.load) == ("1M", "server/16/4/c2")
    assert set(first.measured) == {"ttft_median_s", "itl_mean_s", "e2el_median_s", "tokens_per_s"}
    assert not found.left_out


async def test_time_between_tokens_is_told_from_gaps_between_events(tmp_path: Path) -> None:
    """A server that lags sends two tokens in one event: half as many gaps, each twice as long."""

    def answer(index: int, asked: Asked) -> Row:
        return replace(answered(index, asked), ttft_s=0.1, gaps_s=(0.04, 0.04), tokens=5, e2el_s=0.18)

    await play(tmp_path / "run", [point(20, osl=5)], ScriptedDriver(answer=answer))
    [run] = measurements([read_run(tmp_path / "run")], "1M").runs
    assert run.measured["itl_mean_s"] == pytest.approx(0.02)


async def test_a_point_of_few_requests_is_left_out_with_the_reason(tmp_path: Path) -> None:
    found = measurements([read_run(await measured(tmp_path / "run", [point(4)]))], "1M")
    assert not found.runs
    assert "4 requests were served" in found.left_out[0]


async def test_a_run_that_does_not_say_what_served_it_is_asked_for(tmp_path: Path) -> None:
    run = read_run(await measured(tmp_path / "run", [point(20)]))
    with pytest.raises(UsageError, match="does not say which instances"):
        measurements([run])
    with pytest.raises(UsageError, match="no layout"):
        measurements([run], "3X")


def test_a_profile_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    kept = replace(QWEN3_235B_MI300X, name="mine")
    save_profile(kept, tmp_path)
    assert stored_profiles(tmp_path) == (kept,)  # with the proxy's error bar, which is infinite


def test_a_profile_is_not_kept_under_a_name_that_comes_with_pdctl_or_is_none(tmp_path: Path) -> None:
    for name in (R1_MI300X.name, "../mine", ""):
        with pytest.raises(UsageError):
            save_profile(replace(R1_MI300X, name=name), tmp_path)


def test_a_file_that_is_no_profile_is_named(tmp_path: Path) -> None:
    path = save_profile(replace(R1_MI300X, name="mine"), tmp_path)
    document = json.loads(path.read_text())
    document["profile"]["constants"]["decode_s"] = -1
    path.write_text(json.dumps(document))
    with pytest.raises(BenchError, match=r"mine\.json is no profile"):
        read_profile(path)


@pytest.mark.parametrize(("base", "under"), [("/data", "/data"), ("", None), ("relative", None)])
def test_profiles_lie_in_the_operators_data_directory(base: str, under: str | None) -> None:
    expected = Path(under) if under else Path.home() / ".local" / "share"
    assert profiles_directory({"XDG_DATA_HOME": base}) == expected / "pdctl" / "profiles"
