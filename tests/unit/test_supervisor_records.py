"""What the node's facts about a unit mean."""

from __future__ import annotations

from typing import Any

import pytest

from pdctl.model.role import UnitKind
from pdctl.model.unit import Labels, Restart, UnitSpec, UnitState
from pdctl.supervisors.unit_records import (
    labels_from_json,
    labels_to_json,
    node_view,
    start_request,
    stop_report,
    unit_status,
)

LABELS = Labels("t", "n1.all.0", 7, "abc", UnitKind.ENGINE, "decode", "decode", (0, 1))

EXIT: dict[str, Any] = {
    "status": 0,
    "signal": None,
    "at": 50.0,
    "requested": False,
    "forced": False,
    "leftovers": 0,
    "survivors": [],
    "reason": "",
    "last_lines": [],
}


def facts(**changes: Any) -> dict[str, Any]:
    """A running engine, changed."""
    spec = {
        "labels": labels_to_json(LABELS),
        "restart": changes.pop("restart", "never"),
        "address": "10.1.0.1",
        "ports": [20000, 20001],
        "boot_id": "boot",
        "at": 9.0,
    }
    keeper = {
        "keeper": {"pid": 10, "start": 1},
        "child": {"pid": 11, "start": 2, "at": 10.0},
        "restarts": 0,
        "last_exit": None,
    }
    running = {
        "unit": LABELS.unit,
        "spec": spec,
        "keeper": keeper,
        "held": True,
        "here": True,
        "main_alive": True,
        "stop_asked": False,
        "remains": [],
        "exit": None,
        "tail": [],
    }
    return {**running, **changes}


ALONE: dict[str, Any] = {"held": False, "main_alive": False}

STATES: list[tuple[str, dict[str, Any], UnitState, str]] = [
    ("runs", {}, UnitState.RUNNING, ""),
    ("its keeper was killed", {"held": False}, UnitState.RUNNING, ""),
    ("is asked to stop", {"stop_asked": True}, UnitState.STOPPING, ""),
    ("is being swept", {"main_alive": False}, UnitState.STOPPING, ""),
    ("waits for its restart", {"main_alive": False, "restart": "always"}, UnitState.RUNNING, ""),
    ("is being started", {"keeper": None, "main_alive": False}, UnitState.UNKNOWN, "it is being started"),
    ("ended well", {**ALONE, "exit": EXIT}, UnitState.EXITED, "exit status 0"),
    ("failed", {**ALONE, "exit": {**EXIT, "status": 1}}, UnitState.FAILED, "exit status 1"),
    (
        "was killed",
        {**ALONE, "exit": {**EXIT, "status": None, "signal": "SIGKILL"}},
        UnitState.FAILED,
        "killed by SIGKILL",
    ),
    (
        "was stopped",
        {**ALONE, "exit": {**EXIT, "status": None, "signal": "SIGTERM", "requested": True}},
        UnitState.EXITED,
        "stopped",
    ),
    (
        "could not be killed",
        {**ALONE, "exit": {**EXIT, "requested": True, "survivors": ["pid 5 (x)"]}, "remains": ["pid 5 (x)"]},
        UnitState.FAILED,
        "SIGKILL did not end pid 5 (x)",
    ),
    ("went with a reboot", {**ALONE, "here": False}, UnitState.FAILED, "gone with a reboot"),
    (
        "left workers",
        {**ALONE, "remains": ["pid 5 (vllm)"]},
        UnitState.FAILED,
        "its main process is gone; still there: pid 5 (vllm)",
    ),
    ("ended unseen", ALONE, UnitState.FAILED, "ended after its keeper was killed, so its cause was not seen"),
    ("was never started whole", {**ALONE, "keeper": None}, UnitState.FAILED, "its start was cut short"),
]


@pytest.mark.parametrize(("changes", "state", "cause"), [row[1:] for row in STATES], ids=[row[0] for row in STATES])
def test_a_unit_that(changes: dict[str, Any], state: UnitState, cause: str) -> None:
    status = unit_status("t", facts(**changes))
    assert (status.state, status.exit.cause if status.exit else "") == (state, cause)
    assert status.labels == LABELS
    assert (status.pid == 11) is (state in (UnitState.RUNNING, UnitState.STOPPING) and facts(**changes)["main_alive"])


def test_identity_and_endpoint_are_those_of_the_start() -> None:
    status = unit_status("t", facts())
    assert (status.incarnation, status.started_at, status.endpoint) == ("boot:11:2", 10.0, "10.1.0.1:20000")


@pytest.mark.parametrize("spec", [None, {"labels": {"cluster": "t"}}, {"labels": 3}])
def test_an_unreadable_record_is_unknown_under_its_directorys_name(spec: object) -> None:
    status = unit_status("t", facts(spec=spec))
    assert (status.labels.instance, status.state) == ("n1.all.0", UnitState.UNKNOWN)


def test_an_unreadable_record_of_which_nothing_lives_has_failed() -> None:
    status = unit_status("t", facts(**ALONE, spec=None))
    assert status.state is UnitState.FAILED
    assert status.exit is not None and "nothing of it lives" in status.exit.cause


def test_a_damaged_exit_record_is_unknown_and_no_crash() -> None:
    assert unit_status("t", facts(**ALONE, exit={"status": 1})).state is UnitState.UNKNOWN


def test_what_the_engine_prints_cannot_drive_the_terminal() -> None:
    exit_ = {**EXIT, "status": 1, "last_lines": ["\x1b]0;owned\x07red \x1b[31mline"]}
    status = unit_status("t", facts(**ALONE, exit=exit_))
    assert status.exit is not None
    assert status.exit.last_lines == ("red line",)


def test_labels_survive_the_trip() -> None:
    assert labels_from_json(labels_to_json(LABELS)) == LABELS


def test_the_view_of_a_node() -> None:
    ledger = {"generation": 4, "whole": False, "fresh": True, "note": "lost"}
    found = {"machine_id": "m", "boot_id": "b", "epoch": 2, **ledger, "units": [facts()]}
    view = node_view("n1", "t", {**found, "others": ["pdctl.o.x"]})
    assert (view.node, view.generation, view.epoch, view.notes, view.others) == ("n1", 4, 2, ("lost",), ("pdctl.o.x",))
    assert [unit.labels for unit in view.units] == [LABELS]


@pytest.mark.parametrize(
    ("whole", "fresh", "units", "countable"),
    [(True, False, 1, True), (False, True, 0, True), (False, True, 1, False), (False, False, 0, False)],
)
def test_a_ledger_can_be_counted_on_if_it_is_whole_or_nothing_was_ever_started(
    whole: bool, fresh: bool, units: int, countable: bool
) -> None:
    ledger = {"generation": 4, "whole": whole, "fresh": fresh, "note": ""}
    found = {"machine_id": "m", "boot_id": "b", "epoch": 2, **ledger, "units": [facts()] * units, "others": []}
    assert node_view("n1", "t", found).ledger_whole is countable


def test_the_report_of_a_stop() -> None:
    found = {**EXIT, "existed": True, "gone": False, "survivors": ["pid 5"], "took_s": 1.5, "forced": True}
    report = stop_report("u", found)
    assert (report.existed, report.gone, report.forced, report.survivors) == (True, False, True, ("pid 5",))


def test_secrets_travel_apart_from_what_is_recorded() -> None:
    spec = UnitSpec(LABELS, ("vllm",), {"A": "1"}, Restart.NEVER, 5.0, secret_env={"T": "poison"})
    request = start_request(spec)
    assert request.pop("secret_env") == {"T": "poison"}
    assert "poison" not in repr(request)
