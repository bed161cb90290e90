"""Views of the event stream: NDJSON, plain text, and live rows on a terminal."""

from __future__ import annotations

import io
import json
import re
import textwrap
from collections.abc import Sequence
from typing import Any

import pytest
from rich.cells import cell_len

from pdctl.cli.board import Board, RowState, advance
from pdctl.cli.board_lines import Line, board_lines
from pdctl.cli.render import Renderer, renderer
from pdctl.cli.render_error import render_error
from pdctl.errors import InventoryError, Unreachable
from pdctl.model.events import (
    Event,
    LeaseTaken,
    NodeUnreachable,
    Planned,
    RunEnded,
    RunStarted,
    StepDone,
    StepFailed,
    StepProgress,
    StepSkipped,
    StepStarted,
    Warned,
)
from pdctl.text.duration import duration

HOSTILE = "pre\x1b[2J\x1b]0;owned\x07fill\r\n[red]x[/red]\x9b31m"


class SteppedClock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def time(self) -> float:
        return 1_700_000_000.0 + self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def started(subject: str, action: str = "start", reason: str = "absent") -> StepStarted:
    return StepStarted(f"{action}:{subject}", action, subject, subject.split(".")[0], reason)


def progress(subject: str, text: str, elapsed_s: float, action: str = "await ready") -> StepProgress:
    return StepProgress(f"{action}:{subject}", action, subject, text, elapsed_s)


def done(subject: str, took_s: float, action: str = "start", **detail: Any) -> StepDone:
    return StepDone(f"{action}:{subject}", action, subject, took_s, detail)


def failed(subject: str, cause: str, action: str = "start", **more: Any) -> StepFailed:
    return StepFailed(f"{action}:{subject}", action, subject, "n", cause, "look at its log", 1, **more)


# (seconds since the event before, event)
RUN: list[tuple[float, Event]] = [
    (0.0, RunStarted("up", "/etc/pdctl/r1.yaml", 5)),
    (0.2, LeaseTaken("mi-01", 4)),
    (0.0, NodeUnreachable("mi-03", "no route to host", "is the node up?")),
    (0.0, Planned("start:mi-01.a.0", "start", "mi-01.a.0", "mi-01", "absent")),
    (0.1, started("mi-01.a.0")),
    (0.0, started("mi-02.a.0", reason="spec changed")),
    (2.2, done("mi-01.a.0", 2.2, pid=17)),
    (0.0, started("mi-01.a.0", "await ready", "not serving")),
    (1.0, progress("mi-01.a.0", "loading weights", 1.0)),
    (1.0, progress("mi-01.a.0", "loading weights, 40 %", 2.0)),
    (9.5, progress("mi-01.a.0", "capturing graphs", 11.5)),
    (0.5, failed("mi-02.a.0", "exit status 1", last_lines=("  File x.py", "ValueError: no such model"))),
    (0.0, StepSkipped("register:mi-02.a.0", "register", "mi-02.a.0", "needs start of mi-02.a.0")),
    (0.0, Warned("inventory was changed by hand", "run `pdctl plan`")),
    (60.0, done("mi-01.a.0", 72.0, "await ready")),
    (0.1, RunEnded("up", 3, 2, 1, 1, 74.6, "mi-02.a.0 is not serving")),
]

GOLDEN = """\
  0.0s  up          5 steps, /etc/pdctl/r1.yaml
  0.2s  lease       taken on mi-01, epoch 4
  0.2s  unreachable mi-03: no route to host; what runs there is unknown
                    hint: is the node up?
  0.3s  begin       mi-01.a.0: start (absent)
  0.3s  begin       mi-02.a.0: start (spec changed)
  2.5s  done        mi-01.a.0: start in 2.2s
  2.5s  begin       mi-01.a.0: await ready (not serving)
  3.5s  wait        mi-01.a.0: await ready: loading weights (1.0s)
   14s  wait        mi-01.a.0: await ready: capturing graphs (12s)
   14s  failed      mi-02.a.0: start: exit status 1
                    hint: look at its log
                    |   File x.py
                    | ValueError: no such model
   14s  skipped     mi-02.a.0: register: needs start of mi-02.a.0
   14s  warning     inventory was changed by hand
                    hint: run `pdctl plan`
 1m14s  done        mi-01.a.0: await ready in 1m12s
 1m15s  end         up: 2 done, 1 failed, 1 skipped in 1m15s, exit status 3; mi-02.a.0 is not serving
"""


def play(
    events: Sequence[tuple[float, Event]],
    *,
    as_json: bool = False,
    terminal: bool = False,
    verbose: bool = False,
    **environ: str,
) -> str:
    stream, clock = io.StringIO(), SteppedClock()
    wanted = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"} | environ
    view: Renderer = renderer(
        json=as_json,
        stream=stream,
        terminal=terminal,
        verbose=verbose,
        clock=clock,
        run="ab12",
        cluster="r1",
        environ=wanted,
    )
    with view:
        for pause_s, event in events:
            clock.now_s += pause_s
            view(event)
    return stream.getvalue()


def plain(text: str) -> str:
    """What a reader sees of terminal output, all repaints after each other."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_text_tells_a_run() -> None:
    assert play(RUN) == GOLDEN


def test_text_verbose_tells_plan_every_progress_and_details() -> None:
    told = play(RUN, verbose=True)
    assert "plan        mi-01.a.0: start (absent)" in told
    assert "loading weights, 40 %" in told
    assert "start in 2.2s (pid 17)" in told


@pytest.mark.parametrize(("forced", "text"), [(True, "stop in 9.0s, forced (SIGKILL)\n"), (False, "stop in 9.0s\n")])
def test_a_stop_that_was_forced_is_said_so(forced: bool, text: str) -> None:
    assert play([(0, done("n.a.0", 9.0, "stop", existed=True, forced=forced, leftovers=2))]).endswith(text)


def test_text_of_a_plan_is_its_steps() -> None:
    step = Planned("start:n.a.0", "start", "n.a.0", "n", "absent")
    assert "plan        n.a.0: start (absent)" in play([(0, RunStarted("plan", "i.yaml", 1)), (0, step)])


def test_lost_connection_is_told_as_unknown_not_as_failure() -> None:
    told = play([(0, failed("n.a.0", "connection lost", unknown=True))])
    assert "unknown     n.a.0: start: connection lost; it may or may not have happened" in told
    assert "failed" not in told


def test_json_is_one_stamped_object_a_line() -> None:
    lines = [json.loads(line) for line in play(RUN, as_json=True).splitlines()]
    assert [line["event"] for line in lines] == [event.event for _, event in RUN]
    assert {(line["schema"], line["run"], line["cluster"]) for line in lines} == {(1, "ab12", "r1")}
    assert lines[0]["ts"] == 1_700_000_100.0
    assert lines[11]["last_lines"] == ["  File x.py", "ValueError: no such model"]


@pytest.mark.parametrize("terminal", [False, True], ids=["text", "live"])
@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
def test_remote_text_cannot_drive_the_terminal(terminal: bool, as_json: bool) -> None:
    events: list[tuple[float, Event]] = [
        (0, RunStarted("up", HOSTILE, 1)),
        (0, started(HOSTILE, reason=HOSTILE)),
        (0, progress(HOSTILE, HOSTILE, 1.0)),
        (0, failed(HOSTILE, HOSTILE, last_lines=(HOSTILE,))),
        (0, NodeUnreachable(HOSTILE, HOSTILE, HOSTILE)),
        (0, RunEnded("up", 1, 0, 1, 0, 1.0, HOSTILE)),
    ]
    shown = play(events, terminal=terminal, as_json=as_json)
    assert "\x1b[2J" not in shown
    assert "\x1b]" not in shown
    assert "\x9b" not in shown
    assert "[red]x[/red]" in shown
    if not terminal:
        assert "\x1b" not in shown


def test_live_keeps_rows_and_prints_failures_with_hint_and_log() -> None:
    shown = plain(play(RUN, terminal=True))
    last = [line.rstrip() for line in shown.replace("\r", "\n").splitlines() if line.strip()]
    assert last[-5:] == [
        "mi-03      unknown  unreachable: no route to host",
        "mi-01.a.0  done     await ready                                            1m14s",
        "mi-02.a.0  failed   start: exit status 1                                     14s",
        "up r1: 2 of 5 steps done, 1 failed, 1 skipped, 1m15s",
        "end         up: 2 done, 1 failed, 1 skipped in 1m15s, exit status 3; mi-02.a.0 is not serving",
    ]
    for line in ("hint: look at its log", "| ValueError: no such model", "hint: run `pdctl plan`"):
        assert shown.count(line) == 1


def test_live_shows_a_plan_as_lines() -> None:
    step = Planned("start:n.a.0", "start", "n.a.0", "n", "absent")
    shown = plain(play([(0, RunStarted("plan", "i.yaml", 1)), (0, step)], terminal=True))
    assert "plan        n.a.0: start (absent)" in shown
    assert "waiting" not in shown


def test_no_color_is_honoured() -> None:
    colour = re.compile(r"\x1b\[(?:\d+;)*3[0-7]m")
    assert colour.search(play(RUN, terminal=True))
    assert not colour.search(play(RUN, terminal=True, NO_COLOR="1"))


def test_terminal_without_cursor_gets_plain_lines() -> None:
    assert play(RUN, terminal=True, TERM="dumb") == GOLDEN


def board_of(*events: Event) -> Board:
    board = Board()
    for number, event in enumerate(events):
        board = advance(board, event, float(number))
    return board


def planned(subject: str, *actions: str) -> list[Event]:
    return [Planned(f"{action}:{subject}", action, subject, "n", "absent") for action in actions]


ROW_CASES: list[tuple[str, list[Event], RowState, str]] = [
    ("planned", planned("a", "start"), RowState.WAITING, "start"),
    ("running", [*planned("a", "start"), started("a")], RowState.RUNNING, "start"),
    ("progress", [started("a"), progress("a", "3 of 9", 1.0, "start")], RowState.RUNNING, "start: 3 of 9"),
    ("between steps", [*planned("a", "start", "canary"), started("a"), done("a", 1.0)], RowState.WAITING, "start"),
    ("all done", [*planned("a", "start"), started("a"), done("a", 1.0)], RowState.DONE, "start"),
    ("failed", [started("a"), failed("a", "boom")], RowState.FAILED, "start: boom"),
    ("lost", [started("a"), failed("a", "lost", unknown=True)], RowState.UNKNOWN, "start: lost"),
    ("skipped", [StepSkipped("s", "start", "a", "interrupted")], RowState.SKIPPED, "start: interrupted"),
    (
        "failure stays on show",
        [started("a"), failed("a", "boom"), StepSkipped("s", "canary", "a", "needs"), done("a", 1.0, "stop")],
        RowState.FAILED,
        "start: boom",
    ),
    ("unreachable", [NodeUnreachable("a", "no route", "")], RowState.UNKNOWN, "unreachable: no route"),
]


@pytest.mark.parametrize(("events", "state", "text"), [case[1:] for case in ROW_CASES], ids=[c[0] for c in ROW_CASES])
def test_row(events: list[Event], state: RowState, text: str) -> None:
    row = board_of(*events).rows["a"]
    assert (row.state, row.text) == (state, text)


def test_running_row_tells_the_current_step_and_done_row_the_whole() -> None:
    board = board_of(started("a"), done("a", 1.0), started("a", "canary"))
    assert board.rows["a"].elapsed_s(10.0) == 8.0
    assert advance(board, done("a", 4.0, "canary"), 6.0).rows["a"].elapsed_s(10.0) == 6.0


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_lines_never_exceed_the_terminal(width: int) -> None:
    board = board_of(started("n" * 60 + ".a.0", "日本" * 50), failed("b", "x" * 300), started("日本語" * 12))
    for line in board_lines(board, cluster="c", now_s=5.0, width=width):
        assert cell_len(line.text) <= width


def test_long_names_keep_both_ends() -> None:
    (row, _) = board_lines(board_of(started("mi300x-" + "0" * 40 + ".a.7")), cluster="c", now_s=0.0, width=80)
    assert row.text.startswith("mi300x-")
    assert ".a.7 " in row.text


def test_short_terminal_keeps_what_is_urgent() -> None:
    events: list[Event] = [event for number in range(30) for event in (started(f"n{number}"), done(f"n{number}", 1.0))]
    events += [failed("n7", "boom"), started("late")]
    lines = board_lines(board_of(*events), cluster="c", now_s=99.0, width=80, height=6)
    assert [line.text.split()[:2] for line in lines if line.state] == [
        ["n0", "done"],
        ["n1", "done"],
        ["n7", "failed"],
        ["late", "running"],
    ]
    assert lines[4] == Line("… 27 more: 27 done")
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (9.94, "9.9s"), (9.96, "10s"), (59.4, "59s"), (59.6, "1m00s"), (125, "2m05s"), (7384, "2h03m")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_error_is_cause_and_hint() -> None:
    error = Unreachable("mi-01", "connection refused\x1b[2J", hint="is sshd up?")
    assert render_error(error) == "pdctl: mi-01: connection refused\nhint: is sshd up?"


def test_inventory_error_lists_every_problem() -> None:
    problems = ("i.yaml:3:5: unknown key\n    nodez: {}\n    ^", "i.yaml:9:1: no router")
    error = InventoryError("i.yaml: 2 problems", problems=problems, hint="`pdctl schema` prints the schema")
    assert render_error(error) == textwrap.dedent("""\
        pdctl: i.yaml: 2 problems
        i.yaml:3:5: unknown key
            nodez: {}
            ^
        i.yaml:9:1: no router
        hint: `pdctl schema` prints the schema""")
