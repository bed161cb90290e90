"""Node side: stop a system unit, see that nothing of it is left, and forget what it left on the disk."""

import os
import subprocess
import time

from pdctl.supervisors.node_state_on_node import Locked, Refusal, read_json, write_json
from pdctl.supervisors.proc_on_node import describe, sweep
from pdctl.supervisors.systemd_journal_on_node import launch_journal, sync_journal
from pdctl.supervisors.systemd_persist_on_node import unpersist
from pdctl.supervisors.systemd_unit_on_node import Service, is_live, shown_units, systemctl
from pdctl.supervisors.unit_on_node import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Guard = Callable[[str], None]

GRACE_S = 2.0  # SIGTERM to SIGKILL for what systemd has lost sight of
SWEEP_WAIT_S = 15.0  # past the unit's own budget: SIGKILL, and how long that takes


def stop(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """SIGTERM, the budget, SIGKILL; answers when nothing lives, or names what cannot be killed."""
    began = time.monotonic()
    cluster_dir = os.path.join(root, cluster)
    name = request["unit"]
    with Locked(root):
        guard(cluster_dir)
        unit = Service(cluster_dir, name, shown_units(name + ".service").get(name))
        existed = unit.shown is not None or (os.path.isdir(unit.directory) and not unit.elsewhere())
        lived = existed and unit.lives()
        if lived and not unit.ours():
            raise Refusal("foreign", "it is no unit of ours: systemd runs {}".format(unit.service), "stop it by hand")
        unpersist(unit)  # first: from here on a reboot does not bring it back
        if lived:
            note_stop(unit)
    swept = 0
    if lived and is_live(unit.shown):
        stop_by_systemd(unit, float((unit.spec or {}).get("stop_s", GRACE_S)), request["now"])
        unit.shown = shown_units(unit.service).get(name)
    if lived and not is_live(unit.shown):
        swept = sweep(unit.left, 0.0 if request["now"] else GRACE_S)[0]
    sync_journal()
    unit.ended = read_json(unit.path("ended.json"))
    return {
        "existed": existed,
        "lived": lived,
        "ended": unit.ended,
        "stop_asked": lived,
        "swept": swept,
        "journal": launch_journal(unit.service, unit.began(), 0) if lived else None,
        "survivors": [describe(pid) for pid in unit.left()] if lived else [],
        "live": is_live(unit.shown),
        "took_s": time.monotonic() - began,
    }


def note_stop(unit: Service) -> None:
    """So that its end is known to be asked for. A full disk must not keep a unit from being stopped."""
    try:
        write_json(unit.path("stop.json"), {"at": time.time()}, durable=False)
    except OSError:
        return


def stop_by_systemd(unit: Service, stop_s: float, now: bool) -> None:
    """The stop job of systemd, waited for. With `now` its main process is killed once the job is there: in this
    order nothing is restarted in between."""
    waiting = subprocess.Popen(
        ["systemctl", "--no-ask-password", "stop", "--", unit.service],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if now:
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            state = (shown_units(unit.service).get(unit.name) or {}).get("ActiveState")
            if state != "active":
                break
            time.sleep(0.01)
        systemctl("kill", "--kill-who=main", "--signal=SIGKILL", "--", unit.service)
    try:
        waiting.wait(timeout=(0.0 if now else stop_s) + SWEEP_WAIT_S)
    except subprocess.TimeoutExpired:  # what hangs in the kernel hangs for systemd too
        waiting.kill()
        waiting.wait()


def forget(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """Remove what ended units left; their lines stay in the journal."""
    cluster_dir = os.path.join(root, cluster)
    with Locked(root):
        guard(cluster_dir)
        shown = shown_units()
        services = [Service(cluster_dir, name, shown.get(name)) for name in request["units"]]
        for service in services:
            if service.lives():
                raise Refusal("alive", "{} still lives".format(service.name), "stop it first")
        for service in services:
            if not service.ours() or service.elsewhere():
                continue
            unpersist(service)
            if service.shown is not None:
                systemctl("reset-failed", "--", service.service)
            remove_tree(service.directory)
    return {}
