"""What the facts about a system unit mean."""

from __future__ import annotations

from typing import Any

import pytest

from pdctl.model.role import UnitKind
from pdctl.model.unit import Labels, UnitState
from pdctl.supervisors.systemd_records import systemd_status, systemd_stop_report, systemd_view
from pdctl.supervisors.unit_records import labels_to_json

LABELS = Labels("t", "n1.all.0", 7, "abc", UnitKind.ENGINE, "decode", "decode", (0, 1))
KILL = "pdctl.t.n1.all.0.service: Killing process 42 (python3) with signal SIGKILL."


def shown(active: str = "active", sub: str = "running", **changes: str) -> dict[str, Any]:
    """What systemd shows of the unit."""
    return {
        "labels": labels_to_json(LABELS),
        "ActiveState": active,
        "SubState": sub,
        "Result": "success",
        "MainPID": "11" if active == "active" else "0",
        "ExecMainCode": "0",
        "ExecMainStatus": "0",
        "NRestarts": "0",
        "InvocationID": "abc",
        **changes,
    }


def ended(code: str, status: str, result: str) -> dict[str, Any]:
    """What the hook wrote down."""
    return {"code": code, "status": status, "result": result, "invocation": "abc", "at": 50.5}


def facts(**changes: Any) -> dict[str, Any]:
    """A running engine, changed."""
    restart = changes.pop("restart", "never")
    spec = {"labels": labels_to_json(LABELS), "restart": restart, "address": "10.1.0.1", "ports": [20000], "at": 9.0}
    running = {
        "unit": LABELS.unit,
        "spec": spec,
        "shown": shown(),
        "here": True,
        "ended": None,
        "stop_asked": False,
        "remains": [],
        "started_at": 10.0,
        "journal": None,
        "log_at": 77,
    }
    return {**running, **changes}


GONE: dict[str, Any] = {"shown": None, "started_at": None, "log_at": 0, "journal": {"tail": ["last"], "manager": []}}
FAILED = {**GONE, "shown": shown("failed", "failed", ExecMainCode="1", ExecMainStatus="3", Result="exit-code")}
TERM = ended("killed", "TERM", "success")

STATES: list[tuple[str, dict[str, Any], UnitState, str]] = [
    ("runs", {}, UnitState.RUNNING, ""),
    ("is asked to stop", {"stop_asked": True}, UnitState.STOPPING, ""),
    ("is being swept", {"shown": shown("deactivating", "stop-sigterm")}, UnitState.STOPPING, ""),
    (
        "crashed and is about to be restarted",
        {"shown": shown("deactivating", "stop-post"), "restart": "always"},
        UnitState.RUNNING,
        "",
    ),
    (
        "waits for its restart",
        {"shown": shown("activating", "auto-restart"), "ended": ended("exited", "1", "exit-code")},
        UnitState.RUNNING,
        "exit status 1",
    ),
    ("is being restarted", {"shown": shown("activating", "start"), "restart": "always"}, UnitState.RUNNING, ""),
    ("is being started", {"shown": shown("activating", "start")}, UnitState.UNKNOWN, "it is being started"),
    ("ended well", {**GONE, "ended": ended("exited", "0", "success")}, UnitState.EXITED, "exit status 0"),
    ("failed", {**FAILED, "ended": ended("exited", "3", "exit-code")}, UnitState.FAILED, "exit status 3"),
    ("failed on a full disk", FAILED, UnitState.FAILED, "exit status 3"),
    (
        "was killed",
        {**GONE, "ended": ended("killed", "KILL", "signal")},
        UnitState.FAILED,
        "killed by SIGKILL",
    ),
    ("dumped core", {**GONE, "ended": ended("dumped", "SEGV", "core-dump")}, UnitState.FAILED, "killed by SIGSEGV"),
    (
        "ran out of memory",
        {**GONE, "ended": ended("killed", "KILL", "oom-kill")},
        UnitState.FAILED,
        "killed by the kernel: out of memory",
    ),
    ("was stopped", {**GONE, "ended": TERM, "stop_asked": True}, UnitState.EXITED, "stopped"),
    ("was stopped by hand", {**GONE, "ended": TERM}, UnitState.EXITED, "killed by SIGTERM"),
    ("went with a crash of the node", {**GONE, "here": False}, UnitState.FAILED, "gone with a reboot"),
    ("went with a shutdown", {**GONE, "here": False, "ended": TERM}, UnitState.FAILED, "gone with a reboot"),
    (
        "failed before a reboot",
        {**GONE, "here": False, "ended": ended("exited", "3", "exit-code")},
        UnitState.FAILED,
        "exit status 3",
    ),
    (
        "was stopped before a reboot",
        {**GONE, "here": False, "ended": TERM, "stop_asked": True},
        UnitState.EXITED,
        "stopped",
    ),
    (
        "left workers that systemd does not see",
        {**GONE, "remains": ["pid 5 (vllm)"]},
        UnitState.FAILED,
        "systemd does not know it; still there: pid 5 (vllm)",
    ),
    (
        "could not be killed",
        {**GONE, "remains": ["pid 5 (vllm)"], "ended": ended("killed", "KILL", "timeout")},
        UnitState.FAILED,
        "SIGKILL did not end pid 5 (vllm)",
    ),
    ("was never started", GONE, UnitState.FAILED, "systemd does not know it: its start was cut short"),
]


@pytest.mark.parametrize(("changes", "state", "cause"), [row[1:] for row in STATES], ids=[row[0] for row in STATES])
def test_a_unit_that(changes: dict[str, Any], state: UnitState, cause: str) -> None:
    status = systemd_status("t", facts(**changes))
    assert (status.state, status.exit.cause if status.exit else "") == (state, cause)
    assert status.labels == LABELS


def test_identity_endpoint_and_progress_of_a_running_unit() -> None:
    status = systemd_status("t", facts())
    assert (status.pid, status.incarnation, status.started_at, status.endpoint, status.log_bytes) == (
        11, "abc", 10.0, "10.1.0.1:20000", 77,
    )  # fmt: skip


def test_a_live_unit_whose_record_is_lost_keeps_its_labels() -> None:
    status = systemd_status("t", facts(spec=None))
    assert (status.labels, status.state, status.endpoint) == (LABELS, UnitState.RUNNING, "")


def test_a_live_unit_is_what_systemd_says_not_what_another_launchs_record_says() -> None:
    record = {**facts()["spec"], "labels": {**labels_to_json(LABELS), "generation": 6}}
    status = systemd_status("t", facts(spec=record))
    assert (status.labels.generation, status.endpoint) == (7, "")


@pytest.mark.parametrize(
    ("ending", "asked", "kills", "forced", "leftovers"),
    [
        (ended("killed", "TERM", "success"), True, 0, False, 0),
        (ended("killed", "TERM", "success"), True, 2, False, 2),
        (ended("killed", "KILL", "timeout"), True, 2, True, 1),  # the main process is one of the two
        (ended("killed", "KILL", "signal"), True, 1, True, 1),  # `now`
        (ended("killed", "KILL", "signal"), False, 1, False, 1),  # somebody's kill -9, or the kernel
        (ended("exited", "0", "success"), True, 0, False, 0),
    ],
)
def test_what_a_stop_took(ending: dict[str, Any], asked: bool, kills: int, forced: bool, leftovers: int) -> None:
    journal = {"tail": [], "manager": ["Stopping", *[KILL] * kills]}
    status = systemd_status("t", facts(**{**GONE, "ended": ending, "stop_asked": asked, "journal": journal}))
    assert status.exit is not None
    assert (status.exit.forced, status.exit.leftovers) == (forced, leftovers)


def test_the_report_of_a_stop() -> None:
    found = {
        "existed": True,
        "lived": True,
        "live": False,
        "ended": ended("killed", "KILL", "timeout"),
        "stop_asked": True,
        "swept": 1,
        "journal": {"tail": [], "manager": [KILL, KILL]},
        "survivors": [],
        "took_s": 1.5,
    }
    report = systemd_stop_report("u", found)
    assert (report.existed, report.gone, report.forced, report.leftovers) == (True, True, True, 2)
    assert not systemd_stop_report("u", {**found, "survivors": ["pid 5"]}).gone
    assert not systemd_stop_report("u", {**found, "live": True}).gone


def test_stopping_what_had_ended_reports_nothing_of_its_old_end() -> None:
    found = {
        "existed": True,
        "lived": False,
        "live": False,
        "ended": ended("killed", "KILL", "timeout"),
        "stop_asked": False,
        "swept": 0,
        "journal": None,
        "survivors": [],
        "took_s": 0.1,
    }
    assert not systemd_stop_report("u", found).forced


@pytest.mark.parametrize("spec", [None, {"labels": 3}, {"labels": {"cluster": "t"}}])
def test_an_unreadable_record_is_unknown_as_long_as_something_may_live(spec: object) -> None:
    gone = systemd_status("t", facts(**GONE, spec=spec))
    assert (gone.labels.instance, gone.state) == ("n1.all.0", UnitState.FAILED)
    alive = systemd_status("t", facts(**{**GONE, "remains": ["pid 5"]}, spec=spec))
    assert alive.state is UnitState.UNKNOWN


def test_what_the_engine_prints_cannot_drive_the_terminal() -> None:
    journal = {"tail": ["\x1b]0;owned\x07red \x1b[31mline"], "manager": []}
    status = systemd_status("t", facts(**{**GONE, "ended": ended("exited", "1", "exit-code"), "journal": journal}))
    assert status.exit is not None and status.exit.last_lines == ("red line",)


def test_the_view_of_a_node() -> None:
    ledger = {"generation": 4, "whole": False, "fresh": True, "note": "lost"}
    found = {"machine_id": "m", "boot_id": "b", "epoch": 2, **ledger, "units": [facts()]}
    view = systemd_view("n1", "t", {**found, "others": ["pdctl.o.x"]})
    assert (view.node, view.generation, view.epoch, view.notes, view.others) == ("n1", 4, 2, ("lost",), ("pdctl.o.x",))
    assert [unit.labels for unit in view.units] == [LABELS]
