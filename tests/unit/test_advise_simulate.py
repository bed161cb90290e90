"""`pdctl advise simulate`: a trace is played by the arms that were asked for, and wrong words are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pdctl.cli.advise.simulate import command
from pdctl.cli.global_options import Globals
from pdctl.errors import UsageError
from pdctl.perf.trace_file import format_trace
from pdctl.perf.workload import poisson


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "day.jsonl"
    path.write_text(format_trace(poisson(300, 1.2, 8192, 256, seed=1)))
    return path


def test_a_trace_is_played_by_the_arms_that_were_asked_for(trace: Path) -> None:
    asked = ["--trace", str(trace), "--policy", "static:2P3D", "--policy", "ours", "--start", "2P3D"]
    ran = CliRunner().invoke(command, asked, obj=Globals(json=True), catch_exceptions=False, standalone_mode=False)
    said = json.loads(ran.output)
    assert said["event"] == "advise_simulate"
    assert [(arm["arm"], arm["start"], arm["moves"]) for arm in said["arms"]] == [
        ("static 2P3D", "2P3D", 0),
        ("policy", "2P3D", 0),
    ]
    assert said["arms"][0]["attainment"] == said["arms"][1]["attainment"] > 0.5


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["--policy", "best"], "no policy 'best'"),
        (["--policy", "static:4P4D"], "no split of 5"),
        (["--start", "5M"], "written as 2P3D"),
        (["--slo", "tpot=1s"], "no target 'tpot'"),
    ],
)
def test_wrong_words_are_refused(trace: Path, words: list[str], cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        CliRunner().invoke(
            command, ["--trace", str(trace), *words], obj=Globals(), catch_exceptions=False, standalone_mode=False
        )


def test_one_day_must_be_chosen() -> None:
    with pytest.raises(UsageError, match="which day"):
        CliRunner().invoke(command, [], obj=Globals(), catch_exceptions=False, standalone_mode=False)
