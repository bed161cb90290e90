"""Node side: start a unit of the `process` supervisor, or refuse with the cause, before anything is written."""

import fcntl
import os
import time

from pdctl.supervisors.keeper_on_node import GRACE_S, Keeper, spawn_keeper
from pdctl.supervisors.launch_on_node import check_gpus, check_keeper, marks_of, new_file, path_refusal, placed
from pdctl.supervisors.node_state_on_node import (
    Locked,
    Refusal,
    boot_id,
    claim_generation,
    machine_id,
    write_json,
)
from pdctl.supervisors.preflight_on_node import check_ports
from pdctl.supervisors.proc_on_node import describe, sweep
from pdctl.supervisors.unit_on_node import Unit, discard, remove_tree

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
        raise Refusal(
            "alive", "generation {} of it still lives".format(unit.generation()), "stop it first, then start it anew"
        )
    if unit.elsewhere() and unit.exit is None:
        raise Refusal(
            "shared",
            "{} was written by another machine".format(unit.directory),
            "set state_dir to a local directory, or remove it if that machine is gone",
        )
    if unit.main_alive():
        raise Refusal(
            "alive", "generation {} of it still runs, without its keeper".format(unit.generation()), "stop it first"
        )
    left = sweep(unit.remains, GRACE_S)[1]
    if left:
        raise Refusal(
            "alive", "{} of its last launch cannot be killed".format(describe(min(left))), "the node needs a reboot"
        )
    if unit.spec is not None and unit.spec["labels"] == labels and unit.keeper is not None:
        how = unit.exit or {}
        ended = how.get("reason") or how.get("signal") or "exit status {}".format(how.get("status"))
        raise Refusal(
            "used",
            "its generation {} has already run ({})".format(labels["generation"], ended),
            "take a new generation: ports are never used twice",
        )


def lay_out(unit: Unit, request: "Facts") -> int:
    """Write the unit's directory beside its place and rename it there; the locked descriptor of its `alive`."""
    fresh = os.path.join(os.path.dirname(unit.directory), "." + unit.name)
    remove_tree(fresh)  # of a start that was killed
    spec = {key: request[key] for key in ("labels", "restart", "stop_s", "address", "ports", "log_cap_bytes")}
    spec["argv"] = [placed(word, unit) for word in request["argv"]]
    spec.update(boot_id=boot_id(), machine_id=machine_id(), incarnation=os.urandom(8).hex(), at=time.time())
    try:
        os.makedirs(os.path.join(fresh, "files"), mode=0o700)
        for name, content in request["files"].items():
            new_file(os.path.join(fresh, "files", os.path.basename(name)), placed(content, unit))
        new_file(os.path.join(fresh, "log"), "")
        new_file(os.path.join(fresh, "alive"), "")
        alive_fd = os.open(os.path.join(fresh, "alive"), os.O_RDWR)
        fcntl.flock(alive_fd, fcntl.LOCK_EX)
        # Not synced: a power cut ends the unit too, and the generation is in the ledger, which is.
        write_json(os.path.join(fresh, "spec.json"), spec, durable=False)
        os.rename(fresh, unit.directory)
    except OSError:
        remove_tree(fresh)
        raise
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
