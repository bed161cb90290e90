"""`pdctl bench score`: a run's scores, its moves against the right split, and the files that the peer's tools read."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pdctl.bench.figures.moves import read_moves, splits
from pdctl.bench.runs.point_files import PointFiles, Stretch
from pdctl.cli.main import main
from pdctl.errors import BenchError
from pdctl.model.outcome import Outcome
from pdctl.model.role import Role
from tests.bench_report import good, run_directory

STARTED = datetime.fromisoformat("2026-01-02T03:04:05+00:00").timestamp()


def moved(at_s: float, slot: str, source: str, target: str, **changes: Any) -> str:
    """One event of a move that took 20 s and ended `at_s` seconds after the point began."""
    said = {
        "schema": 1,
        "ts": STARTED + at_s,
        "event": "moved",
        "slot": slot,
        "from_pool": source,
        "to_pool": target,
        "outcome": "moved",
        "in_flight_at_fence": 4,
        "took_s": 20.0,
    }
    return json.dumps(said | changes)


INVENTORIES = Path(__file__).parents[2] / "inventories"
EVENTS = "\n".join(
    [
        json.dumps({"event": "run_started", "ts": 0}),
        moved(120.0, "n4.main", "decode", "prefill"),
        moved(150.0, "n5.main", "decode", "prefill", outcome="put back"),
        moved(220.0, "n4.main", "prefill", "decode", in_flight_at_fence=None),
    ]
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    rows = [good(n, sent_s=n * 30.0, at_s=n * 30.0) for n in range(10)]
    path = run_directory(
        tmp_path / "run",
        {
            ("r1", "r1", 0): rows,
            ("r1", "r2", 0): [
                *rows[:8],
                good(8, tokens=2),
                good(9, outcome=Outcome.REFUSED, tokens=0, refusal="queue"),
            ],
        },
    )
    for load in ("r1", "r2"):
        PointFiles(path / "points" / "r1" / "mori" / load / "s0").set_stretches(
            [Stretch("2026-01-02T03:04:05Z", 0.0, 300.0)]
        )
    return path


def scored(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as ended:
        main(["--json", "bench", "score", *argv])
    assert ended.value.code == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_a_run_is_scored_by_cause_and_goodput_is_the_best_rate(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = scored(capsys, str(run))
    assert [(point["attainment"], point["rate"]) for point in said["points"]] == [(1.0, 1.0), (0.8, 2.0)]
    assert said["points"][1]["served_attainment"] == pytest.approx(8 / 9)
    assert {kind: count for kind, count in said["points"][1]["verdicts"].items() if count} == {
        "met": 8,
        "short": 1,
        "refused": 1,
    }
    assert [(good["deployment"], good["rate"]) for good in said["goodput"]] == [("r1", 1.0)]
    assert scored(capsys, str(run), "--target", "0.8")["goodput"][0]["rate"] == 2.0
    assert scored(capsys, str(run), "--ttft", "100ms")["points"][0]["attainment"] == 0.0


def test_moves_are_scored_against_the_right_split(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "events").write_text(EVENTS)
    said = scored(
        *(capsys, str(run), "--events", str(tmp_path / "events"), "--start", "3P3D"),
        *("--stations", "3P3D,4P2D,3P3D", "--phase", "100s"),
    )
    seen = said["points"][0]["following"]
    assert (seen["moves"], seen["reversals"], seen["reversals_per_hour"]) == (2, 1, 12.0)
    assert seen["in_flight_at_moves"] == 4  # the second move's was not read, and nothing was in flight at 200 s
    assert [(phase["settled_s"], phase["on_station"]) for phase in seen["phases"]] == [
        (0.0, 1.0),
        (20.0, 0.8),
        (20.0, 0.8),
    ]
    assert seen["settled_s"] == 20.0


def test_pools_of_other_names_have_the_roles_of_the_runs_inventory(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (INVENTORIES / "demo.yaml").read_text()
    for pool, name in (("prefill", "readers"), ("decode", "writers")):
        text = text.replace(f"pool: {pool}", f"pool: {name}").replace(f"  {pool}: {{role", f"  {name}: {{role")
    (tmp_path / "renamed.yaml").write_text(text)
    meta = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(meta | {"inventory": str(tmp_path / "renamed.yaml")}))
    (tmp_path / "events").write_text(moved(120.0, "n4.main", "writers", "readers"))
    said = scored(
        *(capsys, str(run), "--events", str(tmp_path / "events"), "--start", "3P3D"),
        *("--stations", "3P3D,4P2D", "--phase", "100s"),
    )
    assert [phase["settled_s"] for phase in said["points"][0]["following"]["phases"]] == [0.0, 20.0]


def test_the_text_says_what_the_json_says(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events").write_text(EVENTS)
    with pytest.raises(SystemExit):
        main(["bench", "score", str(run), "--events", str(tmp_path / "events"), "--start", "3P3D"])
    text = capsys.readouterr().out
    assert "r1 mori: goodput at 90%: 1 req/s   (1: 100.0%, 2: 80.0%)" in text
    assert "2 moves with 4 requests in flight, 1 reversals" in text


def test_the_peers_files_are_written_a_point_each(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = scored(capsys, str(run), "--journal", str(tmp_path / "out"))["written"]
    assert [Path(name).name for name in written] == [
        "r1.mori-r1-s0.journal.jsonl",
        "r1.mori-r1-s0.samples.jsonl",
        "r1.mori-r2-s0.journal.jsonl",
        "r1.mori-r2-s0.samples.jsonl",
    ]
    head, *rows = map(json.loads, Path(written[2]).read_text().splitlines())
    assert head["meta"]["package"] == "pdctl" and head["meta"]["version"]
    assert [row["rid"] for row in rows if row.get("refused")] == ["r9"]


@pytest.mark.parametrize(
    "argv",
    [
        ["--stations", "3P3D"],
        ["--start", "3x3"],
        ["--start", "3P3D", "--stations", "1P1D,2P2D,3P3D", "--phase", "1m,2m"],
    ],
)
def test_half_a_course_is_refused(run: Path, capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "score", str(run), *argv])
    assert ended.value.code == 64
    assert "hint:" in capsys.readouterr().err


def test_a_slot_on_its_way_counts_as_neither() -> None:
    moves = read_moves(EVENTS.splitlines(), "events")
    assert [(at_s, split) for at_s, split in splits(moves, (3, 3), STARTED)][1:] == [
        (100.0, (3, 2)),
        (120.0, (4, 2)),
        (200.0, (3, 2)),
        (220.0, (3, 3)),
    ]


def test_pools_of_any_name_have_the_roles_they_are_given() -> None:
    line = moved(50.0, "n1.main", "fast", "", in_flight_at_fence=None)
    (move,) = read_moves([line, ""], "events", {"fast": Role.DECODE})
    assert (move.source, move.target, move.in_flight) == (Role.DECODE, None, None)


def test_what_is_no_event_is_named_with_its_line() -> None:
    with pytest.raises(BenchError, match="events:2"):
        read_moves(['{"event": "x"}', "{}"], "events")
