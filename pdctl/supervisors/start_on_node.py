"""Node side: start a unit of the `process` supervisor, or refuse with the cause, before anything is written."""

import fcntl
import os
import time

from pdctl.supervisors.keeper_on_node import Keeper, spawn_keeper
from pdctl.supervisors.launch_on_node import (
    alive_refusal,
    check_gpus,
    check_home,
    check_keeper,
    laid_out,
    marks_of,
    new_file,
    path_refusal,
    placed,
    record_of,
    sweep_former,
    used_refusal,
)
from pdctl.supervisors.node_state_on_node import Locked, Refusal, claim_generation, write_json
from pdctl.supervisors.preflight_on_node import check_ports
from pdctl.supervisors.unit_on_node import Unit, discard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Guard = Callable[[str], None]

EXEC_WAIT_S = 10.0


def start(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """Start a unit, or find it started. Everything that can refuse does so before anything is written."""
    cluster_dir = os.path.join(root, cluster)
    labels = request["labels"]
    unit = Unit(cluster_dir, request["unit"])
    missing = path_refusal(request["paths"]) if not unit.held else None  # may take seconds: not under the lock
    with Locked(root):
        os.makedirs(os.path.join(cluster_dir, "units"), mode=0o700, exist_ok=True)
        guard(cluster_dir)
        settle(unit)
        if unit.spec is not None and unit.spec["labels"] == labels and (unit.held or unit.main_alive()):
            return unit.facts()
        check_keeper(unit, "process")
        check_former(unit, labels)
        if missing is not None:
            raise missing
        check_gpus(root, unit.name, labels["gpus"])
        check_ports(request["address"], request["ports"])
        if os.path.isdir(unit.directory):
            discard(unit)
        claim_generation(cluster_dir, labels["generation"])
        alive_fd = lay_out(unit, request)
        env = engine_environment(request, unit)
        failure = spawn_keeper(Keeper(unit.directory, unit.spec or {}, env, request["umask"]), alive_fd, EXEC_WAIT_S)
    if failure:
        raise Refusal(
            "exec",
            "cannot run {}: {}".format(request["argv"][0], failure),
            "check the program's path and permissions on the node",
        )
    unit.read()
    return unit.facts()


def settle(unit: Unit) -> None:
    """Read the unit. A keeper whose starter was killed may not have said yet what it started: wait for that."""
    until = time.monotonic() + EXEC_WAIT_S
    unit.read()
    while unit.held and unit.keeper is None and time.monotonic() < until:
        time.sleep(0.01)
        unit.read()


def check_former(unit: Unit, labels: "Facts") -> None:
    """Refuse while a former launch lives, or if this very generation ran already; sweep what a dead one left."""
    if unit.held:
        raise alive_refusal(unit.generation())
    check_home(unit, unit.exit is not None)
    if unit.main_alive():
        raise alive_refusal(unit.generation(), "runs, without its keeper")
    sweep_former(unit.remains)
    if unit.spec is not None and unit.spec["labels"] == labels and unit.keeper is not None:
        how = unit.exit or {}
        ended = how.get("reason") or how.get("signal") or "exit status {}".format(how.get("status"))
        raise used_refusal(labels["generation"], " ({})".format(ended))


def lay_out(unit: Unit, request: "Facts") -> int:
    """Write the unit's directory; the locked descriptor of its `alive`."""
    spec = record_of(unit, request, log_cap_bytes=request["log_cap_bytes"])
    with laid_out(unit, request) as fresh:
        new_file(os.path.join(fresh, "log"), "")
        new_file(os.path.join(fresh, "alive"), "")
        alive_fd = os.open(os.path.join(fresh, "alive"), os.O_RDWR)
        fcntl.flock(alive_fd, fcntl.LOCK_EX)
        # Not synced: a power cut ends the unit too, and the generation is in the ledger, which is.
        write_json(os.path.join(fresh, "spec.json"), spec, durable=False)
    unit.spec = spec
    unit.incarnation = spec["incarnation"]
    return alive_fd


def engine_environment(request: "Facts", unit: Unit) -> "dict[str, str]":
    """The login's environment but for SSH's own, then the unit's, its secrets, and the marks it is found by."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
    env.update((name, placed(value, unit)) for name, value in request["env"].items())
    env.update(request["secret_env"])
    env.update(marks_of(unit.name, unit.cluster_dir, str(unit.incarnation), request["labels"]))
    return env
