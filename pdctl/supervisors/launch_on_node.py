"""Node side, for every supervisor: what a launch is refused for, what marks its processes, what its files hold."""

import os
import time
from contextlib import contextmanager

from pdctl.supervisors.node_state_on_node import Refusal, boot_id, entries, machine_id
from pdctl.supervisors.preflight_on_node import check_paths
from pdctl.supervisors.proc_on_node import (
    GENERATION_MARK,
    GPUS_MARK,
    INCARNATION_MARK,
    STATE_MARK,
    UNIT_MARK,
    describe,
    marked_gpus,
    sweep,
)
from pdctl.supervisors.unit_on_node import Unit, remove_tree, units_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Facts = dict[str, Any]

FORMER_GRACE_S = 2.0  # SIGTERM to SIGKILL for what a dead launch left


def marks_of(unit: str, cluster_dir: str, incarnation: str, labels: "Facts") -> "dict[str, str]":
    """Environment variables by which a launch's processes are found, whatever became of their parents."""
    return {
        UNIT_MARK: unit,
        STATE_MARK: cluster_dir,
        INCARNATION_MARK: incarnation,
        GENERATION_MARK: str(labels["generation"]),
        GPUS_MARK: ",".join(str(gpu) for gpu in labels["gpus"]),
        # vLLM names its processes with setproctitle, which would write over the marks (py-setproctitle, README).
        "SPT_NOENV": "1",
    }


def path_refusal(paths: "list[str]") -> "Refusal | None":
    try:
        check_paths(paths)
    except Refusal as refusal:
        return refusal
    return None


def check_keeper(unit: Unit, supervisor: str) -> None:
    """Refuse while a unit of this name that another supervisor made lives: it is not ours to sweep."""
    if unit.kept_by() != supervisor and unit.spec is not None and unit.lives():
        raise Refusal(
            "alive", "the `{}` supervisor keeps a unit of this name".format(unit.kept_by()), "stop that first"
        )


def alive_refusal(generation: int, how: str = "lives") -> Refusal:
    return Refusal("alive", "generation {} of it still {}".format(generation, how), "stop it first, then start it anew")


def used_refusal(generation: int, how: str = "") -> Refusal:
    return Refusal(
        "used",
        "its generation {} has already run{}".format(generation, how),
        "take a new generation: ports are never used twice",
    )


def check_home(unit: Unit, known: bool) -> None:
    """Refuse a record of another machine, unless it is `known` that nothing of it lives."""
    if unit.elsewhere() and not known:
        raise Refusal(
            "shared",
            "{} was written by another machine".format(unit.directory),
            "set state_dir to a local directory, or remove it if that machine is gone",
        )


def sweep_former(find: "Callable[[], dict[int, int]]") -> None:
    """Kill what a dead launch left. Refuse where some of it survives."""
    left = sweep(find, FORMER_GRACE_S)[1]
    if left:
        raise Refusal(
            "alive", "{} of its last launch cannot be killed".format(describe(min(left))), "the node needs a reboot"
        )


def check_gpus(root: str, name: str, gpus: "list[int]") -> None:
    """Refuse while any unit of ours, of whatever cluster, lives on one of the GPUs, as this directory's records say."""
    for cluster in entries(root) if gpus else ():
        for unit in units_in(os.path.join(root, cluster)):
            shared = set(gpus) & set((unit.spec or {}).get("labels", {}).get("gpus", ()))
            if unit.name != name and shared and not unit.elsewhere() and unit.lives():
                raise gpu_refusal(shared, unit.name, str(unit.generation()))


def check_marked_gpus(name: str, gpus: "list[int]") -> None:
    """The same by the marks of processes, whatever supervisor has their records (or has lost them).

    For supervisors of the whole machine: as root it sees every process. Simulated nodes share a machine, so the
    `process` supervisor goes by its records alone.
    """
    for holder, generation, held in marked_gpus() if gpus else ():
        if holder != name and set(gpus) & held:
            raise gpu_refusal(set(gpus) & held, holder, generation)


def gpu_refusal(gpus: "set[int]", holder: str, generation: str) -> Refusal:
    return Refusal(
        "gpu",
        "GPU {} is held by {}, generation {}".format(", ".join(map(str, sorted(gpus))), holder, generation),
        "stop that unit first",
    )


def new_file(path: str, content: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(content)


def placed(text: str, unit: Unit) -> str:
    return text.replace("{unit_dir}", unit.path("files")).replace("{cluster_dir}", unit.cluster_dir)


def record_of(unit: Unit, request: "Facts", **more: "Any") -> "Facts":
    """What spec.json is to hold of this launch: nothing secret."""
    spec = {key: request[key] for key in ("labels", "restart", "stop_s", "address", "ports")}
    spec["argv"] = [placed(word, unit) for word in request["argv"]]
    spec.update(boot_id=boot_id(), machine_id=machine_id(), incarnation=os.urandom(8).hex(), at=time.time())
    spec.update(more)
    return spec


@contextmanager
def laid_out(unit: Unit, request: "Facts") -> "Iterator[str]":
    """`with laid_out(unit, request) as fresh`: a directory that holds the launch's files, to be filled with the rest.

    It lies beside the unit's place and is renamed there at the end: it appears whole or, on a full disk, not.
    """
    fresh = os.path.join(os.path.dirname(unit.directory), "." + unit.name)
    remove_tree(fresh)  # of a start that was killed
    try:
        os.makedirs(os.path.join(fresh, "files"), mode=0o700)
        for name, content in request["files"].items():
            new_file(os.path.join(fresh, "files", os.path.basename(name)), placed(content, unit))
        yield fresh
        os.rename(fresh, unit.directory)
    except (OSError, Refusal):
        remove_tree(fresh)
        raise
