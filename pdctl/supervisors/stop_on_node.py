"""Node side: stop a unit of the `process` supervisor, through its keeper or, where that was killed, without it."""

import os
import signal
import time

from pdctl.supervisors.node_state_on_node import Locked, write_json
from pdctl.supervisors.proc_on_node import describe, is_alive, send, sweep, wait_gone
from pdctl.supervisors.unit_log_on_node import tail_lines
from pdctl.supervisors.unit_on_node import EVIDENCE_LINES, Unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Guard = Callable[[str], None]

GRACE_WITHOUT_KEEPER_S = 2.0  # SIGTERM to SIGKILL for workers whose main process is gone
SWEEP_WAIT_S = 15.0  # past the unit's own budget: the keeper's SIGKILL and its wait


def stop(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """SIGTERM, the budget, SIGKILL; answers when nothing lives, or names what cannot be killed."""
    began = time.monotonic()
    unit = Unit(os.path.join(root, cluster), request["unit"])
    with Locked(root):
        guard(unit.cluster_dir)
        unit.read()
        existed = os.path.isdir(unit.directory) and not unit.elsewhere()
        lived = existed and unit.lives()
        if lived:
            write_if_possible(unit.path("stop.json"), {"now": request["now"]})
    swept: "Facts" = {"forced": False, "leftovers": 0}
    if lived:
        stop_s = 0.0 if request["now"] else float((unit.spec or {}).get("stop_s", GRACE_WITHOUT_KEEPER_S))
        swept = stop_by_keeper(unit, stop_s) or stop_without_keeper(unit, stop_s)
    left = unit.remains() if not unit.held else {}
    survivors = [describe(pid) for pid in left] + (["its keeper"] if unit.held else [])
    return dict(swept, existed=existed, gone=not survivors, survivors=survivors, took_s=time.monotonic() - began)


def stop_by_keeper(unit: Unit, stop_s: float) -> "Facts | None":
    """Ask the keeper and wait until it has let go; None where there is none, or none any more."""
    until = time.monotonic() + stop_s + SWEEP_WAIT_S
    asked = False
    pause_s = 0.005
    while unit.held and time.monotonic() < until:
        keeper = (unit.keeper or {}).get("keeper")
        if keeper and not asked:
            send({keeper["pid"]: keeper["start"]}, signal.SIGTERM)
            asked = True
        time.sleep(pause_s)
        pause_s = min(0.05, pause_s * 1.3)
        unit.read()
    return None if unit.held or unit.remains() else unit.exit


def stop_without_keeper(unit: Unit, stop_s: float) -> "Facts":
    """The keeper was killed, or hangs: what it would do is done from here, to processes of proven identity."""
    keeper = (unit.keeper or {}).get("keeper")
    if unit.held and keeper:
        send({keeper["pid"]: keeper["start"]}, signal.SIGKILL)
        unit.held = False
    main = unit.main()
    forced = False

    def main_alive() -> "dict[int, int]":
        return {main[0]: main[1]} if main is not None and is_alive(*main) else {}

    if main_alive() and stop_s > 0:
        send(main_alive(), signal.SIGTERM)  # not to its workers, as in the keeper
        wait_gone(main_alive, stop_s)
    if main_alive():
        forced = True
        send(main_alive(), signal.SIGKILL)
        wait_gone(main_alive, SWEEP_WAIT_S)
    leftovers, survivors = sweep(unit.remains, min(GRACE_WITHOUT_KEEPER_S, stop_s))
    evidence = {
        "status": None,
        "signal": None,
        "at": time.time(),
        "requested": True,
        "forced": forced,
        "leftovers": leftovers,
        "survivors": [describe(pid) for pid in survivors],
        "reason": "stopped; its keeper had been killed, so its status is not known",
        "last_lines": tail_lines(unit.path("log"), EVIDENCE_LINES),
    }
    write_if_possible(unit.path("exit.json"), evidence)
    unit.read()
    return evidence


def write_if_possible(path: str, value: "Facts") -> None:
    """A full disk must not keep a unit from being stopped."""
    try:
        write_json(path, value, durable=False)
    except OSError:
        return
