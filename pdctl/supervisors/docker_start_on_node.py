"""Node side: start a container, or refuse with the cause, before anything is written."""

import json
import os

from pdctl.supervisors.docker_cli_on_node import LABEL, cli, container_cli, containers_of, is_live, last_of
from pdctl.supervisors.docker_command_on_node import (
    SECRETS_AT,
    container_labels,
    env_lines,
    jit_environment,
    read_secrets,
    run_command,
    secret_lines,
)
from pdctl.supervisors.docker_host_on_node import (
    COUNTERS,
    device_groups,
    jit_mount,
    lent_paths,
    path_mounts,
    present_devices,
    rdma_mounts,
)
from pdctl.supervisors.docker_unit_on_node import KIND, Container, discard_container
from pdctl.supervisors.launch_on_node import (
    alive_refusal,
    check_gpus,
    check_home,
    check_keeper,
    check_marked_gpus,
    gpu_refusal,
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Guard = Callable[[str], None]

RUN_WAIT_S = 40.0


def start(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """Start a unit, or find it started. Everything that can refuse does so before anything is written."""
    cluster_dir = os.path.join(root, cluster)
    labels = request["labels"]
    sources = [mount[0] for mount in request["mounts"]]
    missing = path_refusal(sources + lent_paths(request))  # may take seconds: not under the lock
    with Locked(root):
        os.makedirs(os.path.join(cluster_dir, "units"), mode=0o700, exist_ok=True)
        guard(cluster_dir)
        unit = Container(cluster_dir, request["unit"], None)
        unit.look()
        if is_live(unit.shown) and unit.shown is not None and unit.shown["labels"] == labels:
            return unit.facts()
        check_former(unit, labels)
        if missing is not None:
            raise missing
        image = image_here(request["image"])
        check_gpus(root, unit.name, labels["gpus"])
        check_marked_gpus(unit.name, labels["gpus"])
        check_labelled_gpus(unit.name, labels["gpus"])
        check_ports(request["address"], request["ports"])
        place = lent(root, unit, request, image)
        discard_container(unit)
        claim_generation(cluster_dir, labels["generation"])
        lay_out(unit, request, image, place)
        run(unit, request, place)
    unit.look()
    return unit.facts()


def check_former(unit: Container, labels: "Facts") -> None:
    """Refuse while a former launch lives, or if this very generation ran already; sweep what a dead one left.

    A `run` that was cut short before the container ran can be asked for again.
    """
    if unit.shown is not None and unit.shown["labels"] is None:
        raise Refusal(
            "foreign", "there is a container {} that pdctl did not make".format(unit.name), "rename or remove it"
        )
    if is_live(unit.shown):
        raise alive_refusal(unit.generation())
    check_keeper(unit, KIND)
    check_home(unit, unit.shown is not None)
    sweep_former(unit.left)
    if labels == (unit.shown or unit.spec or {}).get("labels") and unit.has_run():
        raise used_refusal(labels["generation"])


def image_here(name: str) -> "Facts":
    """{id, user} of the image. It is never pulled here: that takes minutes, and may bring another build."""
    status, output, error = cli("image", "inspect", "--", name)
    if status:
        if "no such image" in error.lower() or "not known" in error.lower() or "no such object" in error.lower():
            pull = "`{} pull {}` there".format(os.path.basename(container_cli()), name)
            raise Refusal("image", "the node does not have the image {}".format(name), pull)
        raise Refusal("image", "the image {} cannot be used: {}".format(name, last_of(error)))
    found = json.loads(output)[0]
    config = found.get("Config") or {}
    return {"id": found["Id"].partition(":")[2] or found["Id"], "user": config.get("User") or ""}


def check_labelled_gpus(name: str, gpus: "list[int]") -> None:
    """Refuse while a container of ours, of whatever cluster, has one of the GPUs."""
    for found in containers_of(LABEL + "gpus") if gpus else ():
        labels = found["labels"]
        shared = set(gpus) & set(labels["gpus"]) if labels is not None and is_live(found) else set()
        if shared and found["name"] != name:
            raise gpu_refusal(shared, found["name"], str(labels["generation"]))


def lent(root: str, unit: Container, request: "Facts", image: "Facts") -> "Facts":
    """What the node gives to this container: devices, groups, mounts, environment."""
    engine = request["labels"]["kind"] == "engine"
    devices = present_devices(request["needs_gpu"]) if engine else []
    mounts = path_mounts(request)
    env = {name: placed(value, unit) for name, value in request["env"].items()}
    if engine and request["host_rdma"]:
        mounts += rdma_mounts()
    if "/dev/infiniband" in devices:
        mounts.append((COUNTERS, COUNTERS, False))
    if engine and request["jit_cache"]:
        mounts.append(jit_mount(root, image["id"]))
        env = dict(jit_environment(), **env)
    # Under the same names as on the node, as argv, env and files say them.
    words = "\n".join([*request["argv"], *request["env"].values(), *request["files"].values()])
    if "{cluster_dir}" in words:
        mounts.append((unit.cluster_dir, unit.cluster_dir, True))
    elif request["files"]:
        mounts.append((unit.path("files"), unit.path("files"), False))
    if request["secret_env"]:
        mounts.append((unit.path("secret"), SECRETS_AT, True))
    return {
        "argv": [placed(word, unit) for word in request["argv"]],
        "env": env,
        "env_file": unit.path("env"),
        "secrets": bool(request["secret_env"]),
        "devices": devices,
        "groups": device_groups() if devices else [],
        "mounts": mounts,
    }


def lay_out(unit: Container, request: "Facts", image: "Facts", place: "Facts") -> None:
    """Write the unit's directory, and add to `place` the labels that its container gets."""
    spec = record_of(unit, request, supervisor=KIND, image=image["id"])
    env = dict(place["env"], **marks_of(unit.name, unit.cluster_dir, spec["incarnation"], request["labels"]))
    endpoint = "{}:{}".format(request["address"], request["ports"][0]) if request["ports"] else ""
    more = {"endpoint": endpoint, "incarnation": spec["incarnation"], "boot_id": spec["boot_id"]}
    place["labels"] = container_labels(request["labels"], more)
    with laid_out(unit, request) as fresh:
        new_file(os.path.join(fresh, "env"), env_lines(env))
        if request["secret_env"]:
            os.mkdir(os.path.join(fresh, "secret"), 0o700)
            new_file(os.path.join(fresh, "secret", "exec.sh"), read_secrets(request["restart"]))
            new_file(os.path.join(fresh, "secret", "env"), secret_lines(request["secret_env"]))
            hand_over(os.path.join(fresh, "secret"), image["user"])
        write_json(os.path.join(fresh, "spec.json"), spec)
    unit.read()


def hand_over(directory: str, user: str) -> None:
    """Give the secrets to the image's user, who has to read them."""
    name = user.partition(":")[0]
    if name in ("", "root", "0"):
        return
    if not name.isdigit():
        raise Refusal(
            "env",
            "the image runs as its user {}, who could not read the secrets".format(name),
            "use an image that runs as root or as a number",
        )
    for path in [directory] + [os.path.join(directory, entry) for entry in os.listdir(directory)]:
        os.chown(path, int(name), -1)


def run(unit: Container, request: "Facts", place: "Facts") -> None:
    """Have the container made and started. One that was made and could not be started is removed again."""
    status, _, error = cli(*run_command(unit.name, request, place), wait_s=RUN_WAIT_S)
    if status == 0:
        os.unlink(unit.path("env"))
        return
    unit.look()
    if not is_live(unit.shown):
        discard_container(unit)
    raise Refusal(
        "exec",
        "cannot run {} in {}: {}".format(place["argv"][0], request["image"], last_of(error)),
        "is the program in the image, and a mount or device of the node in the way?",
    )
