"""What the facts of the `systemd` supervisor's node side mean. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pdctl.model.observed import NodeView
from pdctl.model.unit import ExitEvidence, StopReport, UnitState, UnitStatus
from pdctl.ssh.text import printable
from pdctl.supervisors.unit_records import labels_from_json, service_status, service_view

Facts = Mapping[str, Any]

REBOOTED = "gone with a reboot"
NEVER_RAN = "systemd does not know it: its start was cut short"

_LINE_CHARS = 2000
_KILLED = re.compile(r"Killing process \d+ \(.*\) with signal SIGKILL")
"""systemd's line for each process that it kills (kill_common_log in unit.c, systemd 239 to 257)."""

_EXITED, _KILLED_BY = "1", ("2", "3")  # ExecMainCode: CLD_EXITED, CLD_KILLED, CLD_DUMPED of waitid(2)


def systemd_view(node: str, cluster: str, found: Facts) -> NodeView:
    """One inspection."""
    return service_view(node, cluster, found, systemd_status)


def systemd_status(cluster: str, facts: Facts) -> UnitStatus:
    """One unit."""
    return service_status(cluster, facts, _readable)


def _readable(facts: Facts) -> UnitStatus:
    shown = facts["shown"] or {}
    spec = facts["spec"] or {}
    labels = labels_from_json(shown.get("labels") or spec["labels"])
    recorded = spec.get("labels") == (shown.get("labels") or spec.get("labels"))  # else the record is another launch's
    state, exit_ = _state(facts)
    live = state in (UnitState.RUNNING, UnitState.STOPPING)
    pid = int(shown.get("MainPID") or 0)
    return UnitStatus(
        labels=labels,
        state=state,
        pid=pid if live and pid else None,
        incarnation=shown.get("InvocationID", "") or (facts["ended"] or {}).get("invocation", ""),
        started_at=facts["started_at"] or spec.get("at"),
        restarts=int(shown.get("NRestarts") or 0),
        exit=exit_,
        endpoint=f"{spec['address']}:{spec['ports'][0]}" if recorded and spec and spec["ports"] else "",
        log_bytes=int(facts["log_at"]),
    )


def _state(facts: Facts) -> tuple[UnitState, ExitEvidence | None]:
    shown = facts["shown"] or {}
    active = shown.get("ActiveState", "inactive")
    last = _evidence(facts) if facts["ended"] else None
    if active in ("active", "reloading"):
        return (UnitState.STOPPING if facts["stop_asked"] else UnitState.RUNNING), last
    returns = (facts["spec"] or {}).get("restart") == "always" and not facts["stop_asked"]
    if active == "deactivating":
        return (UnitState.RUNNING if returns else UnitState.STOPPING), last
    if active == "activating":
        if returns or shown["SubState"] == "auto-restart":
            return UnitState.RUNNING, last
        return UnitState.UNKNOWN, ExitEvidence(None, None, 0.0, False, reason="it is being started")
    exit_ = last or _evidence_shown(facts)
    if facts["remains"]:
        workers = printable(", ".join(facts["remains"]), max_chars=200)
        verb = "SIGKILL did not end" if exit_ is not None else "systemd does not know it; still there:"
        return UnitState.FAILED, replace(exit_ or _unseen(facts, ""), reason=f"{verb} {workers}")
    if not facts["here"] and (exit_ is None or _by_shutdown(exit_)):
        return UnitState.FAILED, replace(exit_ or _unseen(facts, ""), reason=REBOOTED)
    if exit_ is None:
        return UnitState.FAILED, _unseen(facts, NEVER_RAN)
    well = exit_.requested or (not exit_.reason and (exit_.status == 0 or _result(facts) == "success"))
    return (UnitState.EXITED if well else UnitState.FAILED), exit_


def _by_shutdown(exit_: ExitEvidence) -> bool:
    """Whether it may have ended because the node went down: nobody asked, and it was told to or had to."""
    return not exit_.requested and (exit_.signal in ("SIGTERM", "SIGKILL") or exit_.status == 0)


def _result(facts: Facts) -> str:
    ended = facts["ended"] or {}
    return str(ended.get("result") or (facts["shown"] or {}).get("Result", ""))


def _evidence(facts: Facts) -> ExitEvidence:
    """From what the hook wrote down when the main process had ended."""
    ended = facts["ended"]
    exited = ended["code"] == "exited"
    return _judged(
        facts,
        status=int(ended["status"]) if exited else None,
        signal_=None if exited or not ended["status"] else f"SIG{ended['status']}",
        at=float(ended["at"]),
    )


def _evidence_shown(facts: Facts) -> ExitEvidence | None:
    """From systemd's own memory, where the hook could not write (a full disk)."""
    shown = facts["shown"] or {}
    code, number = shown.get("ExecMainCode", "0"), int(shown.get("ExecMainStatus") or 0)
    if code == _EXITED:
        return _judged(facts, status=number, signal_=None, at=0.0)
    if code in _KILLED_BY:
        return _judged(facts, status=None, signal_=_signal_name(number), at=0.0)
    return None


def _judged(facts: Facts, *, status: int | None, signal_: str | None, at: float) -> ExitEvidence:
    journal = facts["journal"] or {"tail": [], "manager": []}
    result = _result(facts)
    requested = bool(facts["stop_asked"])
    forced = result == "timeout" or (requested and signal_ == "SIGKILL")
    return ExitEvidence(
        status=status,
        signal=signal_,
        at=at,
        requested=requested,
        forced=forced,
        leftovers=_leftovers(journal["manager"], result),
        last_lines=tuple(printable(line, max_chars=_LINE_CHARS) for line in journal["tail"]),
        reason=_reason(result, status),
    )


def _reason(result: str, status: int | None) -> str:
    if result == "oom-kill":
        return "killed by the kernel: out of memory"
    if result == "exit-code" and status == 203:  # EXIT_EXEC, systemd.exec(5)
        return "it could not be run"
    return ""


def _leftovers(manager: Iterable[str], result: str) -> int:
    """Processes that systemd killed beside the main one, which is among them where its own time was over."""
    killed = sum(bool(_KILLED.search(line)) for line in manager)
    return max(0, killed - (result == "timeout"))


def _unseen(facts: Facts, reason: str) -> ExitEvidence:
    journal = facts["journal"] or {"tail": []}
    lines = tuple(printable(line, max_chars=_LINE_CHARS) for line in journal["tail"])
    return ExitEvidence(None, None, (facts["spec"] or {}).get("at", 0.0), False, last_lines=lines, reason=reason)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no name
        return f"signal {number}"


def systemd_stop_report(unit: str, found: Facts) -> StopReport:
    """What a stop did."""
    ending = _evidence({**found, "shown": None}) if found["lived"] and found["ended"] else None
    return StopReport(
        unit=unit,
        existed=found["existed"],
        gone=not found["survivors"] and not found["live"],
        forced=ending.forced if ending else False,
        leftovers=(ending.leftovers if ending else 0) + found["swept"],
        took_s=found["took_s"],
        survivors=tuple(printable(name, max_chars=200) for name in found["survivors"]),
    )
