"""ctrl-s: what is shown, in files beside the operator."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App

from tests.tui.fakes import FakeFeed, app_over
from tests.tui.fleet import snapshot


async def saved(app: App[int]) -> None:
    if saves := [worker for worker in app.workers if worker.group == "save"]:
        await app.workers.wait_for_complete(saves)


@pytest.mark.parametrize(
    ("view", "first"), [("nodes", "node,"), ("pulse", "pool,"), ("matrix", "prefill,"), ("health", "state,")]
)
async def test_ctrl_s_keeps_the_table_and_the_picture(
    view: str, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    feed = FakeFeed()
    app = app_over(feed, start=view)
    async with app.run_test(size=(80, 24)) as pilot:
        await feed.push(snapshot(2, 3, hung=(3,)))
        await pilot.press("ctrl+s")
        await saved(app)
    check_files(tmp_path, view, first)


def check_files(place: Path, view: str, first: str) -> None:
    names = sorted(path.name for path in place.iterdir())
    stem = f"pdctl-demo-{view}-20231114-"
    assert [name.rpartition(".")[2] for name in names] == ["csv", "svg"]
    assert all(name.startswith(stem) for name in names)
    assert (place / names[0]).read_text().startswith(first)
    assert "<svg" in (place / names[1]).read_text()


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    feed = FakeFeed()
    app = app_over(feed, start="nodes")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await feed.push(snapshot())
        monkeypatch.setattr(Path, "cwd", lambda: gone / "no")
        await pilot.press("ctrl+s")
        await saved(app)
        await pilot.pause()
        assert any("cannot be written" in str(note.message) for note in app._notifications)
