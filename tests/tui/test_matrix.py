"""The KV matrix: every pair is there, told by more than colour, and the cursor says what is known of one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from textual.app import App

from pdctl.errors import PdctlError
from pdctl.model.figure import Basis, Figure
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import PairFigures, PairState, Snapshot
from pdctl.tui.matrix_lines import Cursor, matrix_lines
from pdctl.tui.matrix_view import ROUND_S, MatrixView, Round, details, generations, heat, matrix, short_names
from pdctl.tui.pulse_lines import text_of
from pdctl.tui.screens.matrix import MatrixScreen
from pdctl.tui.spans import Span, plain, width
from tests.tui.fakes import FakeFeed, FakeOperations, app_over
from tests.tui.fleet import exact, later, snapshot


def with_pair(tick: Snapshot, place: int, **changed: object) -> Snapshot:
    pairs = list(tick.pairs)
    pairs[place] = replace(pairs[place], **changed)  # type: ignore[arg-type]
    return replace(tick, pairs=tuple(pairs))


def shown(tick: Snapshot, columns: int = 78, rows: int = 21, cursor: Cursor | None = None) -> str:
    view = matrix(tick)
    here = (cursor or Cursor()).within(view)
    return text_of(matrix_lines(view, here, details(view, here.prefill, here.decode, generations(tick)), columns, rows))


def signs(view: MatrixView) -> dict[tuple[str, str], str]:
    return {key: cell.sign for key, cell in view.cells.items()}


def test_each_state_has_a_sign_of_its_own() -> None:
    tick = snapshot(1, 4)
    tick = with_pair(tick, 0, state=PairState.BROKEN, handoff_s=Unknown("failed"), failures=2, why="timed out")
    tick = with_pair(tick, 1, state=PairState.SUSPECT, why="its text is odd")
    tick = with_pair(tick, 2, state=PairState.UNTRIED, handoff_s=Unknown("untried"), tried=0)
    assert list(signs(matrix(tick)).values()) == ["✖", "▲", "·", "▂"]
    assert len({cell.ink for cell in matrix(tick).cells.values()}) == 4


@pytest.mark.parametrize(("times", "step"), [(0.5, 0), (1.0, 1), (1.3, 2), (1.7, 3), (2.5, 4), (30.0, 5)])
def test_heat_is_by_multiples_of_the_middle_pair(times: float, step: int) -> None:
    assert heat(0.05 * times, 0.05) == step


def test_pairs_that_no_canary_reached_are_shown_as_untried() -> None:
    view = matrix(replace(snapshot(2, 3), pairs=()))
    assert set(signs(view).values()) == {"·"}
    assert view.counts == {PairState.UNTRIED: 6}
    assert "no canary was sent" in shown(replace(snapshot(2, 3), pairs=()))


def test_without_two_roles_there_is_no_matrix_and_it_says_why() -> None:
    text = shown(snapshot(2, 0))
    assert "No pair" in text
    assert len(text.splitlines()) <= 21


@pytest.mark.parametrize(("columns", "rows"), [(78, 20), (158, 45), (198, 57)])
@pytest.mark.parametrize(("prefills", "decodes"), [(1, 1), (2, 3), (4, 12), (64, 64)])
def test_it_fills_the_screen_whatever_the_size_of_the_fleet(
    columns: int, rows: int, prefills: int, decodes: int
) -> None:
    tick = snapshot(prefills, decodes, hung=(1,))
    view = matrix(tick)
    here = Cursor().within(view)
    lines = matrix_lines(view, here, details(view, here.prefill, here.decode, {}), columns, rows)
    assert len(lines) == rows
    assert all(width(line) <= columns for line in lines)
    assert sum(span.chosen for line in lines for span in line) == 1


def test_times_are_in_words_where_they_fit() -> None:
    text = shown(snapshot(2, 3))
    assert text.count("40ms") >= 2
    assert "…" not in text


def test_the_cursor_is_always_in_the_part_that_is_shown() -> None:
    view = matrix(snapshot(64, 64))
    cursor = Cursor().within(view)
    for _ in range(70):
        cursor = cursor.moved(view, 1, 1)
        lines = matrix_lines(view, cursor, (), 80, 21)
        assert any(isinstance(span, Span) and span.chosen for line in lines for span in line)
    assert (cursor.prefill, cursor.decode) == (view.prefills[-1], view.decodes[-1])
    assert "of 64, columns" in text_of(lines)


def test_the_cursor_begins_where_attention_is_needed_and_stays_on_its_pair() -> None:
    tick = snapshot(2, 3, hung=(4,))
    assert Cursor().within(matrix(tick)) == Cursor("n01.main.0", "n04.main.0")
    slowest = Cursor().within(matrix(snapshot(2, 3)))
    assert slowest.decode == "n05.main.0"
    kept = Cursor("n02.main.0", "n03.main.0")
    assert kept.within(matrix(tick)) == kept
    assert Cursor("gone.main.0", "n03.main.0").within(matrix(tick)).prefill == "n01.main.0"


def test_details_say_whether_the_pair_or_one_end_is_to_blame() -> None:
    text = shown(snapshot(3, 3, hung=(5,)), 100, 27)
    assert "n01.main.0 generation 1 → n05.main.0 generation 1" in text
    assert "broken · tried 5, failed 2" in text
    assert "timed out" in text
    assert "n05.main.0 as decode: 3 broken of 3" in text
    assert "n01.main.0 as prefill: 2 ok, 1 broken of 3" in text


def test_a_time_has_its_age_and_its_share_of_the_middle() -> None:
    tick = with_pair(snapshot(1, 2), 1, handoff_s=Figure.exact(0.12, 33.0, Basis.CANARY))
    text = shown(tick, cursor=Cursor("n01.main.0", "n03.main.0"))
    assert "canary 120ms for both legs, 1.5x median · 33s ago · tried 5, failed 0" in text


def asked(tick: Snapshot, state: PairState = PairState.OK) -> Round:
    pair = PairFigures("n01.main.0", "n02.main.0", state, Figure.exact(0.5, 0.0, Basis.CANARY), 0, 1)
    return Round((pair,), tick.taken_s, generations(tick))


def test_an_asked_round_stands_for_a_minute_and_grows_old_meanwhile() -> None:
    tick = snapshot(1, 1)
    key = ("n01.main.0", "n02.main.0")
    soon = matrix(later(tick, seconds=20.0), asked(tick)).cells[key].pair.handoff_s
    assert isinstance(soon, Figure)
    assert (soon.middle, soon.age_s) == (0.5, 20.0)
    assert matrix(later(tick, seconds=ROUND_S + 1), asked(tick)).cells[key].text == "40ms"


def test_a_result_says_nothing_of_an_instance_that_was_launched_again() -> None:
    tick = snapshot(1, 1)
    again = replace(tick.instances["n02.main.0"], generation=2)
    relaunched = replace(tick, instances={**tick.instances, again.name: again})
    assert matrix(relaunched, asked(tick)).cells["n01.main.0", "n02.main.0"].text == "40ms"


def test_names_lose_what_all_of_them_share() -> None:
    assert short_names(["n1.main.0", "n2.main.0"]) == ("n1", "n2")
    assert short_names(["n1.a.0", "n1.b.0"]) == ("n1.a", "n1.b")
    assert short_names(["n1.main.0"]) == ("n1.main.0",)


def screen_of(app: App[int]) -> MatrixScreen:
    assert isinstance(app.screen, MatrixScreen)
    return app.screen


def text_in(app: App[int]) -> str:
    return "\n".join(plain(line) for line in screen_of(app).canvas.lines)


async def round_over(app: App[int]) -> None:
    if rounds := [worker for worker in app.workers if worker.group == "canary"]:
        await app.workers.wait_for_complete(rounds)


async def test_arrows_move_over_the_pairs_and_c_sends_a_round() -> None:
    tick = snapshot(2, 3)
    fresh = tuple(replace(pair, handoff_s=exact(0.777, Basis.CANARY)) for pair in tick.pairs)
    feed, operations = FakeFeed(), FakeOperations(pairs=fresh)
    app = app_over(feed, operations, start="matrix")
    async with app.run_test(size=(80, 24)) as pilot:
        await feed.push(tick)
        await pilot.press("up", "left", "down")
        assert screen_of(app).cursor == Cursor("n02.main.0", "n04.main.0")
        await pilot.press("c")
        await round_over(app)
        await pilot.pause()
        assert ("canary", 1) in operations.asked
        assert "777ms" in text_in(app)
        assert "round done" in text_in(app)


async def test_a_round_that_hangs_holds_nothing_up_and_one_that_fails_is_said() -> None:
    feed, operations = FakeFeed(), FakeOperations(hang=asyncio.Event())
    app = app_over(feed, operations, start="matrix")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await feed.push(snapshot(2, 3))
        await pilot.press("c", "c", "up")
        assert "sending canaries" in text_in(app)
        assert operations.asked == [("canary", 1)]
        assert screen_of(app).cursor.prefill == "n01.main.0"
        operations.refusal = PdctlError("no member answers", hint="`pdctl status`")
        assert operations.hang is not None
        operations.hang.set()
        await round_over(app)
        await pilot.pause()
        assert "sending" not in text_in(app)
        assert any("no member answers" in str(note.message) for note in app._notifications)
