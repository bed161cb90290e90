"""What an operator sees of a playbook: in words, on a terminal, and what `run` says of itself."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from pdctl.cli.main import main
from pdctl.cli.render import renderer
from pdctl.control.clock import SystemClock
from pdctl.model.events import Event, RunEnded, RunStarted, StepDone, StepStarted
from pdctl.model.playbook_events import (
    GateSaw,
    PlaybookEnded,
    PlaybookStarted,
    PlaybookStepBegan,
    PlaybookStepEnded,
    PlaybookStepForeseen,
    PlaybookWaiting,
)
from pdctl.routers.ports import client_url
from pdctl.text.phrases import phrase
from tests.unit.test_inventory_shipped import placed

DEMO = str(Path(__file__).parents[2] / "inventories" / "demo.yaml")
UNDER = " " * 12


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (PlaybookStarted("p", "a test", "/p.yaml", "/i.yaml", 3), ["playbook    p: a test (3 steps, /i.yaml)"]),
        (
            PlaybookStarted("p", "a test", "/p.yaml", "/i.yaml", 3, resumed=True),
            ["playbook    p goes on: a test (3 steps, /i.yaml)"],
        ),
        (
            PlaybookStarted("p", "a test", "/p.yaml", "/i.yaml", 3, resumed=True, undoing=True),
            ["playbook    p goes back: a test (3 steps, /i.yaml)"],
        ),
        (PlaybookStepBegan("2", "up", "up n1", 2, 3), ["step        2/3 up n1"]),
        (PlaybookStepBegan("2.undo.1", "up", "up n1", 1, 1, undoing=True), ["undo        1/1 up n1"]),
        (
            PlaybookWaiting("1", (GateSaw("x >= 1", None, "unknown: y"), GateSaw("z", False, "3")), 2.0, 10.0, 60.0),
            [
                "gate        held 2.0s of 10s, 1m00s left",
                f"{UNDER}| [?] x >= 1: unknown: y",
                f"{UNDER}| [no] z: 3",
            ],
        ),
        (
            PlaybookStepEnded("2", "up", "up n1", "failed", 4, "n1: no route", "look", 2.0),
            ["step failed up n1 in 2.0s: n1: no route", f"{UNDER}hint: look"],
        ),
        (
            PlaybookStepEnded("2", "up", "up n1", "begun", 130, "interrupted", "", 2.0),
            ["stopped     up n1 in 2.0s: interrupted"],
        ),
        (
            PlaybookStepForeseen("2", "up", "up n1", ("start n1",), ("down",), later=True),
            ["would       2. up n1; earlier steps may change that", f"{UNDER}| start n1", f"{UNDER}| undone by: down"],
        ),
        (
            PlaybookEnded("p", "failed", 4, 1, 3, 9.0, "at step 2 (up n1)", "go on"),
            ["end         p: failed, 1 of 3 steps in 9.0s; at step 2 (up n1)", f"{UNDER}hint: go on"],
        ),
    ],
)
def test_an_event_in_words(event: Event, lines: list[str]) -> None:
    assert list(phrase(event)) == lines


def test_a_terminal_shows_each_step_with_rows_of_its_own() -> None:
    screen = io.StringIO()
    view = renderer(
        json=False,
        stream=screen,
        terminal=True,
        verbose=False,
        clock=SystemClock(),
        run="r",
        cluster="c",
        environ={"TERM": "xterm", "COLUMNS": "100", "LINES": "40", "NO_COLOR": "1"},
    )
    with view:
        for number in (1, 2):
            view(PlaybookStepBegan(str(number), "up", f"up n{number}", number, 2))
            view(RunStarted("up", "/i", 1))
            view(StepStarted("s", "start", f"n{number}.main.0", "n1", ""))
            view(StepDone("s", "start", f"n{number}.main.0", 1.0))
            view(RunEnded("up", 0, 1, 0, 0, 1.0, ""))
        view(PlaybookEnded("p", "done", 0, 2, 2, 3.0, "", ""))
    last = screen.getvalue().rpartition("step        2/2 up n2")[2]
    assert "n1.main.0" not in last, "the rows of the first step are gone"
    assert screen.getvalue().count("end         up: 1 done") == 2
    assert "end         p: done, 2 of 2 steps" in last


@pytest.mark.parametrize(
    ("inventory", "url"), [("demo", "http://127.0.0.1:30000"), ("r1-2p3d", "http://10.0.0.1:30000")]
)
def test_clients_find_the_router_at_its_nodes_host_unless_it_listens_on_one_address(inventory: str, url: str) -> None:
    assert client_url(placed(inventory)) == url


class Ran:
    """A command that was run in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *argv: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main(argv)
        printed = capsys.readouterr()
        self.code, self.out, self.err = ended.value.code, printed.out, printed.err


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("PDCTL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "one of PLAYBOOK, --resume RUN and --undo RUN is needed"),
        (("bring-up", "--resume", "last"), "one of PLAYBOOK, --resume RUN and --undo RUN is needed"),
        (("bringup",), "did you mean `bring-up`?"),
        (("bring-up", "--set", "rounds"), "--set 'rounds' is no assignment"),
        (("--resume", "last"), "no playbook was run on this machine yet"),
        (("--resume", "nope"), "there is no run 'nope' on this machine"),
        (("--undo", "last", "--set", "a=b"), "a run keeps its variables"),
        (("bring-up", "--read-only"), "`run` changes the cluster"),
        (("bring-up", "--from", "9"), "the playbook has no step '9'"),
    ],
)
def test_what_cannot_be_asked_for_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], said: str
) -> None:
    ran = Ran(capsys, "run", *argv, "-i", DEMO)
    assert ran.code == 64
    assert said in ran.err


def test_a_playbook_that_cannot_be_read_is_located(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ran = Ran(capsys, "run", str(tmp_path / "no.yaml"), "-i", DEMO)
    assert ran.code == 65
    assert "no.yaml:1:1: cannot be read: no such file or directory" in ran.err


def test_check_shows_the_variables_and_list_the_playbooks(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Ran(capsys, "run", "upgrade-image", "--check")
    assert shown.code == 0
    assert "--set image=…  text, has to be given: the new image" in shown.out
    listed = Ran(capsys, "run", "--list", "--json")
    names = [book["name"] for book in json.loads(listed.out)["playbooks"]]
    assert "bring-up" in names and "kv-mode-flip" in names
