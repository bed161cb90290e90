"""What goes to the `process` supervisor's node side, and what its facts mean. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pdctl.model.observed import NodeView
from pdctl.model.role import UnitKind
from pdctl.model.unit import ExitEvidence, Labels, StopReport, UnitSpec, UnitState, UnitStatus
from pdctl.ssh.text import printable

LOG_CAP_BYTES = 64 << 20
"""What one launch's log may hold on the node's disk; past it, the older half is given up."""

_LINE_CHARS = 2000

Facts = Mapping[str, Any]


def start_request(spec: UnitSpec) -> dict[str, Any]:
    """The payload of a start. It holds the secrets: it goes over stdin, and is not for logs or reprs."""
    labels = spec.labels
    return {
        "unit": labels.unit,
        "labels": labels_to_json(labels),
        "argv": list(spec.argv),
        "env": dict(spec.env),
        "secret_env": dict(spec.secret_env),
        "restart": spec.restart.value,
        "stop_s": spec.stop_s,
        "paths": list(spec.paths),
        "address": spec.address,
        "ports": list(spec.ports),
        "files": dict(spec.files),
        "log_cap_bytes": LOG_CAP_BYTES,
    }


def labels_to_json(labels: Labels) -> dict[str, Any]:
    """Labels as they lie on the node; two launches are the same if this is. `facts` is there only if there are any."""
    found: dict[str, Any] = {
        "cluster": labels.cluster,
        "instance": labels.instance,
        "generation": labels.generation,
        "spec_hash": labels.spec_hash,
        "kind": labels.kind.value,
        "pool": labels.pool,
        "role": labels.role,
        "gpus": list(labels.gpus),
    }
    if labels.facts:
        found["facts"] = labels.facts
    return found


def labels_from_json(found: Facts) -> Labels:
    """Raises KeyError, TypeError, ValueError for what no pdctl wrote."""
    return Labels(
        cluster=found["cluster"],
        instance=found["instance"],
        generation=int(found["generation"]),
        spec_hash=found["spec_hash"],
        kind=UnitKind(found["kind"]),
        pool=found["pool"],
        role=found["role"],
        gpus=tuple(int(gpu) for gpu in found["gpus"]),
        facts=str(found.get("facts", "")),
    )


def node_view(node: str, cluster: str, found: Facts) -> NodeView:
    """One inspection."""
    return NodeView(
        node=node,
        machine_id=found["machine_id"],
        boot_id=found["boot_id"],
        generation=found["generation"],
        ledger_whole=bool(found["whole"] or (found["fresh"] and not found["units"])),
        epoch=found["epoch"],
        units=tuple(unit_status(cluster, unit) for unit in found["units"]),
        others=tuple(printable(other) for other in found["others"]),
        notes=(printable(found["note"]),) if found["note"] else (),
        place=str(found.get("place", "")),
    )


def service_view(node: str, cluster: str, found: Facts, status: Callable[[str, Facts], UnitStatus]) -> NodeView:
    """One inspection by a supervisor whose units somebody else keeps (systemd, a container engine)."""
    return replace(
        node_view(node, cluster, {**found, "units": [], "fresh": found["fresh"] and not found["units"]}),
        units=tuple(status(cluster, unit) for unit in found["units"]),
    )


def service_status(cluster: str, facts: Facts, read: Callable[[Facts], UnitStatus]) -> UnitStatus:
    """One of its units. One whose labels cannot be read is unknown as long as something of it may live."""
    try:
        return read(facts)
    except (KeyError, TypeError, ValueError, AttributeError):
        return _nameless(cluster, facts["unit"], facts.get("shown") is None and not facts.get("remains"), ())


def unit_status(cluster: str, facts: Facts) -> UnitStatus:
    """One unit. A record that cannot be read leaves its state unknown where something of it may live."""
    try:
        return _readable(facts)
    except (KeyError, TypeError, ValueError, AttributeError):
        return _unreadable(cluster, facts)


def _readable(facts: Facts) -> UnitStatus:
    spec = facts["spec"]
    labels = labels_from_json(spec["labels"])
    state, exit_ = _state(facts)
    keeper = facts["keeper"] or {}
    child = keeper.get("child") or {}
    running = state in (UnitState.RUNNING, UnitState.STOPPING) and facts["main_alive"]
    return UnitStatus(
        labels=labels,
        state=state,
        pid=child.get("pid") if running else None,
        incarnation=f"{spec['boot_id']}:{child['pid']}:{child['start']}" if child else "",
        started_at=child.get("at", spec["at"]),
        restarts=keeper.get("restarts", 0),
        exit=exit_,
        endpoint=f"{spec['address']}:{spec['ports'][0]}" if spec["ports"] else "",
    )


def _state(facts: Facts) -> tuple[UnitState, ExitEvidence | None]:
    keeper = facts["keeper"] or {}
    if facts["held"]:
        last = keeper.get("last_exit")
        evidence = _evidence(last) if last else None
        if not keeper:
            return UnitState.UNKNOWN, ExitEvidence(None, None, 0.0, False, reason="it is being started")
        if facts["stop_asked"]:
            return UnitState.STOPPING, evidence
        if facts["main_alive"] or facts["spec"]["restart"] == "always":
            return UnitState.RUNNING, evidence
        return UnitState.STOPPING, evidence  # the main process has ended, its workers are being swept
    if facts["exit"]:
        evidence = _evidence(facts["exit"])
        if facts["remains"]:
            survivors = printable(", ".join(facts["remains"]), max_chars=200)
            return UnitState.FAILED, replace(evidence, reason=f"SIGKILL did not end {survivors}")
        well = evidence.requested or (evidence.status == 0 and not evidence.signal)
        return (UnitState.EXITED if well else UnitState.FAILED), evidence
    if not facts["here"]:
        return UnitState.FAILED, _unseen(facts, "gone with a reboot")
    if facts["main_alive"]:
        return UnitState.STOPPING if facts["stop_asked"] else UnitState.RUNNING, None
    if facts["remains"]:
        workers = printable(", ".join(facts["remains"]), max_chars=200)
        return UnitState.FAILED, _unseen(facts, f"its main process is gone; still there: {workers}")
    reason = "ended after its keeper was killed, so its cause was not seen"
    return UnitState.FAILED, _unseen(facts, reason if keeper else "its start was cut short")


def _evidence(found: Facts) -> ExitEvidence:
    return ExitEvidence(
        status=found["status"],
        signal=found["signal"],
        at=found["at"],
        requested=found["requested"],
        forced=found["forced"],
        leftovers=found["leftovers"],
        last_lines=_shown(found["last_lines"]),
        reason=printable(found["reason"], max_chars=400),
    )


def _unseen(facts: Facts, reason: str) -> ExitEvidence:
    at = facts["spec"]["at"] if facts["spec"] else 0.0
    return ExitEvidence(None, None, at, False, last_lines=_shown(facts["tail"]), reason=reason)


def _shown(lines: list[str]) -> tuple[str, ...]:
    return tuple(printable(line, max_chars=_LINE_CHARS) for line in lines)


def _unreadable(cluster: str, facts: Facts) -> UnitStatus:
    """Without a record, locks and marks still tell whether anything of the unit lives."""
    gone = facts["spec"] is None and not facts["held"] and not facts["remains"]
    return _nameless(cluster, facts["unit"], gone, _shown(facts["tail"]))


def _nameless(cluster: str, unit: str, gone: bool, last_lines: tuple[str, ...]) -> UnitStatus:
    labels = Labels(cluster, printable(unit.removeprefix(f"pdctl.{cluster}.")), 0, "", UnitKind.ENGINE)
    reason = "its record cannot be read" + ("; nothing of it lives" if gone else "")
    exit_ = ExitEvidence(None, None, 0.0, False, last_lines=last_lines, reason=reason)
    return UnitStatus(labels, UnitState.FAILED if gone else UnitState.UNKNOWN, exit=exit_)


def stop_report(unit: str, found: Facts) -> StopReport:
    """What a stop did."""
    return StopReport(
        unit=unit,
        existed=found["existed"],
        gone=found["gone"],
        forced=found["forced"],
        leftovers=found["leftovers"],
        took_s=found["took_s"],
        survivors=tuple(printable(name, max_chars=200) for name in found["survivors"]),
    )
