"""Node side: stop a container, and see that nothing of it is left."""

import os
import time

from pdctl.supervisors.docker_cli_on_node import cli, container_named, is_live
from pdctl.supervisors.docker_unit_on_node import Container
from pdctl.supervisors.node_state_on_node import Locked, Refusal, write_json
from pdctl.supervisors.proc_on_node import describe, sweep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Guard = Callable[[str], None]

GRACE_S = 2.0  # SIGTERM to SIGKILL for what the container engine has lost sight of
FORCE_WAIT_S = 20.0  # past the unit's own budget: SIGKILL, and how long that takes
KILLED = 128 + 9


def stop(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """SIGTERM, the budget, SIGKILL; answers when nothing lives, or names what cannot be killed."""
    began = time.monotonic()
    cluster_dir = os.path.join(root, cluster)
    with Locked(root):
        guard(cluster_dir)
        unit = Container(cluster_dir, request["unit"], container_named(request["unit"]))
        existed = unit.ours() and not unit.elsewhere()
        lived = existed and unit.lives()
        if not existed and unit.shown is not None and is_live(unit.shown):
            raise Refusal("foreign", "the container {} is none of ours".format(unit.name), "stop it by hand")
        if lived:
            note_stop(unit)
    swept = 0
    survivors = []
    if lived:
        stop_container(unit, request["now"])
        if not is_live(unit.shown):
            swept = sweep(unit.left, 0.0 if request["now"] else GRACE_S)[0]
        survivors = [describe(pid) for pid in unit.left()]
        survivors += ["its container"] if is_live(unit.shown) and not survivors else []
    state = (unit.shown or {}).get("state", {})
    return {
        "existed": existed,
        "gone": not survivors,
        "forced": lived and state.get("ExitCode") == KILLED and not state.get("OOMKilled"),
        "leftovers": swept,
        "survivors": survivors,
        "took_s": time.monotonic() - began,
    }


def note_stop(unit: Container) -> None:
    """So that its end is known to be asked for. A full disk must not keep a unit from being stopped."""
    try:
        os.makedirs(unit.directory, mode=0o700, exist_ok=True)
        write_json(
            unit.path("stop.json"), {"container": (unit.shown or {}).get("id"), "at": time.time()}, durable=False
        )
    except OSError:
        return


def stop_container(unit: Container, now: bool) -> None:
    """The container engine's own stop, which goes on if we are killed. It is asked by id: never another's."""
    if is_live(unit.shown) and unit.shown is not None:
        hurry = ["--time=0"] if now else []  # else the budget that the container was made with
        wait_s = FORCE_WAIT_S + (0 if now else unit.shown["stop_s"])
        try:
            cli("stop", *hurry, unit.shown["id"], wait_s=wait_s)
        except Refusal:  # it hangs with what hangs in the kernel; the look below tells
            pass
    unit.look()
    secret = unit.path("secret/env")
    if not is_live(unit.shown) and os.path.exists(secret):
        os.unlink(secret)
