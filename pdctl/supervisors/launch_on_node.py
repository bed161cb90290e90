"""Node side, for every supervisor: what a launch is refused for, what marks its processes, what its files hold."""

import os

from pdctl.supervisors.node_state_on_node import Refusal, entries
from pdctl.supervisors.preflight_on_node import check_paths
from pdctl.supervisors.proc_on_node import (
    GENERATION_MARK,
    GPUS_MARK,
    INCARNATION_MARK,
    STATE_MARK,
    UNIT_MARK,
    marked_gpus,
)
from pdctl.supervisors.unit_on_node import Unit, units_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]


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
