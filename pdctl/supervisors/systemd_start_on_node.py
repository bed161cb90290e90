"""Node side: start a transient system unit, or refuse with the cause, before anything is written."""

import grp
import os
import pwd
import re
import subprocess
from contextlib import contextmanager

from pdctl.supervisors.launch_on_node import (
    alive_refusal,
    check_gpus,
    check_home,
    check_keeper,
    check_marked_gpus,
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
from pdctl.supervisors.systemd_command_on_node import (
    HOOK,
    HOOK_FORGETS_ENV,
    START_WAIT_S,
    check_root,
    env_file,
    run_command,
)
from pdctl.supervisors.systemd_journal_on_node import launch_journal, sync_journal
from pdctl.supervisors.systemd_persist_on_node import persist, unpersist
from pdctl.supervisors.systemd_unit_on_node import KIND, Service, is_live, no_systemd, shown_units, systemctl
from pdctl.supervisors.unit_on_node import discard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Facts = dict[str, Any]
    Guard = Callable[[str], None]

GPU_GROUPS = ("video", "render")  # who may open /dev/kfd and /dev/dri; one of them, or none, may exist
EXEC_FAILED = "203"  # systemd.exec(5), process exit codes
EXEC_SAID = re.compile("at step EXEC|Failed to execute|Unable to locate executable")  # systemd 249 to 257
STEPS = {  # the ones that an inventory or a node can cause
    "200": "its working directory",
    "205": "its resource limits",
    "216": "its groups",
    "217": "its user",
    "226": "its mount namespace",
}


def start(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """Start a unit, or find it started. Everything that can refuse does so before anything is written."""
    cluster_dir = os.path.join(root, cluster)
    labels = request["labels"]
    name = request["unit"]
    check_root(root)
    user = unit_user(request)
    with seen_by(user):
        missing = path_refusal(request["paths"])  # may take seconds: not under the lock
    with Locked(root):
        os.makedirs(os.path.join(cluster_dir, "units"), mode=0o700, exist_ok=True)
        guard(cluster_dir)
        unit = Service(cluster_dir, name, shown_units(name + ".service").get(name))
        if unit.shown is not None and is_live(unit.shown) and unit.shown["labels"] == labels:
            return unit.facts()
        if missing is not None:
            check_former(unit, labels)
            raise missing
        start_unit(root, unit, request, user)
    unit = Service(cluster_dir, name, shown_units(unit.service).get(name))
    return unit.facts()


def start_unit(root: str, unit: Service, request: "Facts", user: "pwd.struct_passwd", at_boot: bool = False) -> None:
    """The start itself, under the lock. Its checks come before anything is written."""
    labels = request["labels"]
    check_former(unit, labels)
    check_gpus(root, unit.name, labels["gpus"])
    check_marked_gpus(unit.name, labels["gpus"])
    check_ports(request["address"], request["ports"])
    claim_generation(unit.cluster_dir, labels["generation"], at_boot)
    if os.path.isdir(unit.directory):
        discard(unit)
    lay_out(unit, request, user)
    if unit.shown is not None:
        systemctl("reset-failed", "--", unit.service)
    if at_boot:
        launch(unit, request, user)
        return
    unpersist(unit)
    if request["relaunch"]:
        persist(unit, request, user.pw_name)
    try:
        launch(unit, request, user)
    except Refusal:
        unpersist(unit)
        raise


def unit_user(request: "Facts") -> "pwd.struct_passwd":
    """Whom it runs as: the user that is asked for, else the login. The registrar keeps its files in the cluster's
    directory, which is root's, and is confined to it. Raises Refusal."""
    if request["user"]:
        try:
            return pwd.getpwnam(request["user"])
        except KeyError:
            raise Refusal(
                "exec",
                "the node has no user {}".format(request["user"]),
                "make one there (useradd), or change `user` of `engine`",
            ) from None
    login = os.environ.get("SUDO_UID", "") if request["labels"]["kind"] != "registrar" else ""
    return pwd.getpwuid(int(login) if login.isdigit() else os.getuid())


@contextmanager
def seen_by(user: "pwd.struct_passwd") -> "Iterator[None]":
    """Look at files as that user, with all of their groups: over NFS root may see less than they do."""
    if os.geteuid() != 0:
        yield
        return
    own = os.getgroups()
    os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(own)


def check_former(unit: Service, labels: "Facts") -> None:
    """Refuse while a former launch lives, or if this very generation ran already; sweep what a dead one left.

    A start that was cut short before systemd knew of it never ran, and can be asked for again; whether one from before
    a reboot ran is not known any more.
    """
    if unit.shown is not None and unit.shown["labels"] is None:
        raise Refusal(
            "foreign", "systemd has a unit {} that pdctl did not make".format(unit.service), "rename or remove it"
        )
    if is_live(unit.shown):
        raise alive_refusal(generation_of(unit))
    check_keeper(unit, KIND)
    check_home(unit, unit.ended is not None)
    sweep_former(unit.left)
    same = unit.spec is not None and unit.spec["labels"] == labels
    if same and (unit.ended is not None or unit.shown is not None or not unit.here()):
        raise used_refusal(labels["generation"])


def generation_of(unit: Service) -> int:
    labels = (unit.shown or {}).get("labels") or (unit.spec or {}).get("labels") or {}
    return int(labels.get("generation", 0))


def lay_out(unit: Service, request: "Facts", user: "pwd.struct_passwd") -> None:
    """Write the unit's directory, and let the engine's user through to its files."""
    spec = record_of(unit, request, supervisor=KIND)
    env = {name: placed(value, unit) for name, value in request["env"].items()}
    env.update(request["secret_env"])
    env.update(marks_of(unit.name, unit.cluster_dir, spec["incarnation"], request["labels"]))
    with laid_out(unit, request) as fresh:
        files = os.path.join(fresh, "files")
        for path in [files, *(os.path.join(files, name) for name in os.listdir(files))]:
            os.chown(path, user.pw_uid, user.pw_gid)
        new_file(os.path.join(fresh, "env"), env_file(env))
        new_file(os.path.join(fresh, "ended.sh"), HOOK + ("" if spec["restart"] == "always" else HOOK_FORGETS_ENV))
        write_json(os.path.join(fresh, "spec.json"), spec)
    unit.spec = spec
    unit.incarnation = spec["incarnation"]
    unit.ended = None
    if user.pw_uid and request["files"]:
        for directory in (os.path.dirname(unit.cluster_dir), unit.cluster_dir, os.path.dirname(unit.directory)):
            open_the_way(directory)
        open_the_way(unit.directory)


def open_the_way(directory: str) -> None:
    """Let others pass through, to what is theirs below; nothing in it can be listed or read."""
    os.chmod(directory, os.stat(directory).st_mode & 0o7777 | 0o011)


def launch(unit: Service, request: "Facts", user: "pwd.struct_passwd") -> None:
    """Have systemd start it; returns once the main process has been exec'd (Type=exec)."""
    groups = [name for name in GPU_GROUPS if request["labels"]["gpus"] and group_exists(name)]
    place = {
        "directory": unit.directory,
        "cluster_dir": unit.cluster_dir,
        "user": user.pw_name,
        "groups": groups,
        "argv": (unit.spec or {})["argv"],
    }
    try:
        ran = subprocess.run(
            run_command(unit.service, request, place),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=START_WAIT_S + 5,
        )
    except OSError:
        raise no_systemd("systemd-run is not installed") from None
    except subprocess.TimeoutExpired:
        raise Refusal("exec", "no exec within {} s (does its file system hang?)".format(START_WAIT_S)) from None
    refusal = start_refusal(unit, ran.stdout.decode("utf-8", "replace").strip()) if ran.returncode else None
    if refusal is not None:
        raise refusal


def start_refusal(unit: Service, said: str) -> "Refusal | None":
    """Why the exec failed: what systemd says at the unit, else what systemd-run said. None where it did not fail:
    a main process that ends at once fails its start job too, but it ran."""
    program = (unit.spec or {})["argv"][0]
    shown = shown_units(unit.service).get(unit.name) or {}
    ended = shown.get("ExecMainCode", "0") != "0" or os.path.exists(unit.path("ended.json"))
    status = shown.get("ExecMainStatus", "")
    if status in STEPS:
        return Refusal("exec", "systemd cannot set up {}".format(STEPS[status]), "see `systemctl status` on the node")
    if ended and status != EXEC_FAILED:
        return None
    if status == EXEC_FAILED:
        sync_journal()
        lines = launch_journal(unit.service, unit.began(), 20)
        found = [line for line in lines["tail"] + lines["manager"] if EXEC_SAID.search(line)]
        said = found[0] if found else "exec failed"
    cause = said.splitlines()[0] if said else "systemd-run gave no reason"
    return Refusal(
        "exec", "cannot run {}: {}".format(program, cause), "check the program's path and permissions on the node"
    )


def group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
