"""`bench report`, `bench diff` and `bench compare` as they are typed, where they need no node."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pdctl.bench.runs.events import PointDone
from pdctl.bench.runs.read import read_run
from pdctl.cli.bench.run_lines import table
from pdctl.cli.main import main
from tests.bench_report import good, mixed_rows, run_directory

INVENTORIES = Path(__file__).parents[2] / "inventories"


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def pdctl(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Done]:
    """One command in this process, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*argv: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(argv)
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, printed.out, printed.err)

    return run


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    rows = {("steady", "r2", 0): [good(n) for n in range(6)], ("shaky", "r2", 0): mixed_rows()}
    return run_directory(tmp_path / "run", rows)


def test_report_shows_judges_anew_and_writes(pdctl: Callable[..., Done], measured: Path) -> None:
    shown = pdctl("bench", "report", str(measured))
    assert shown.code == 0
    assert "\x1b" not in shown.out
    for said in ("SLO attainment", "Pareto", "1 of 6 met", "goodput at 90%: steady at least 2 req/s"):
        assert said in shown.out
    anew = json.loads(pdctl("bench", "report", str(measured), "--ttft", "5s", "--itl", "1s", "--json").out)
    assert {each["deployment"]: round(each["attainment"], 3) for each in anew["points"]} == {
        "steady": 1,
        "shaky": 0.667,
    }
    written = pdctl("bench", "report", str(measured), "--html", "r.html", "--csv", "r.csv", "--requests-csv", "q.csv")
    assert written.out.split() == ["r.html", "r.csv", "q.csv"]
    assert Path("r.html").read_text().startswith("<!doctype html>")
    assert pdctl("bench", "report", str(measured), "--scenario", "other").code == 64
    assert pdctl("bench", "report", "nowhere").code == 1


def test_diff_fails_where_it_is_told_to(pdctl: Callable[..., Done], measured: Path, tmp_path: Path) -> None:
    slower = {("steady", "r2", 0): [good(n, e2el_s=0.5) for n in range(6)]}
    later = run_directory(tmp_path / "later", slower)
    found = pdctl("bench", "diff", str(measured), str(later))
    assert found.code == 0
    assert "one seed" in found.out
    assert "shaky/mori/r2/s0" in found.out
    assert pdctl("bench", "diff", str(measured), str(later), "--fail-worse", "0.05").code == 1
    assert pdctl("bench", "diff", str(measured), str(later), "--fail-worse", "2").code == 0


def test_compare_says_what_it_would_do(pdctl: Callable[..., Done]) -> None:
    names = [str(INVENTORIES / f"{name}.yaml") for name in ("r1-colocated", "r1-2p3d")]
    load = ("--scenario", "8k/1k", "--concurrency", "160", "--dry-run")
    told = pdctl("bench", "compare", *names, *load)
    assert told.code == 0
    for said in ("r1-colocated: 5M", "r1-2p3d: 2P3D", "r1-2p3d/8k-1k/c160-r2/s0", "640 requests"):
        assert said in told.out
    assert pdctl("bench", "compare", names[0], *load).code == 64
    assert pdctl("--read-only", "bench", "compare", *names, *load).code == 64
    assert pdctl("bench", "compare", *names, "--scenario", "8k/1k", "--rate", "fast", "--dry-run").code == 64


def test_a_finished_run_is_shown_without_its_inventory(pdctl: Callable[..., Done], measured: Path) -> None:
    shown = pdctl("bench", "run", "--resume", str(measured))
    assert shown.code == 0
    assert "2 measured" in shown.out
    last = json.loads(pdctl("bench", "run", "--resume", str(measured), "--json").out.splitlines()[-1])
    assert (last["event"], last["measured"], last["left"]) == ("bench_ended", 2, 0)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [(["compare", "a.yaml", "b.yaml"], "pdctl bench compare --resume"), ([], "pdctl bench sweep")],
)
def test_what_another_command_began_goes_on_with_that(
    pdctl: Callable[..., Done], measured: Path, arguments: list[str], hint: str
) -> None:
    meta = json.loads((measured / "run.json").read_text())
    (measured / "run.json").write_text(json.dumps(meta | {"arguments": arguments}))
    next(measured.glob("points/**/done.json")).unlink()
    refused = pdctl("bench", "run", "--resume", str(measured))
    assert refused.code == 64
    assert hint in refused.err


def test_a_comparison_that_goes_on_takes_no_other_load(pdctl: Callable[..., Done], measured: Path) -> None:
    refused = pdctl("bench", "compare", "--resume", str(measured), "--rate", "3")
    assert refused.code == 64
    assert "leave names and loads out" in refused.err


def test_the_closing_table_fits_the_terminal(measured: Path) -> None:
    points = [each for each in read_run(measured).points if each.done is not None]
    done = [PointDone(each.note.id, 1, 1, each.done.figures) for each in points if each.done is not None]
    assert "TPOT" in table(done)[0]
    for width in (80, 100):
        lines = table(done, width)
        assert max(map(len, lines)) <= width
        assert all(head in lines[0] for head in ("failed", "TTFT", "SLO"))
