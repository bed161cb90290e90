"""Node side: what starts an engine again after a reboot: a unit file of its own, enabled, and what it needs to know.

`/etc/systemd/system/pdctl-boot.<cluster>.<instance>.service` runs `<cluster>/boot/<unit>/boot.py`
(systemd_boot_on_node.py), which takes a new generation and starts the engine as any other launch, as a transient unit.
The engine's own unit is no file: its labels, environment and ports would still be those of the generation before.
Beside boot.py lie boot.json, the launch without its secrets, and `secrets`, the EnvironmentFile of the boot unit.
"""

import os
import sys

from pdctl.supervisors.launch_on_node import new_file
from pdctl.supervisors.node_state_on_node import Refusal, read_text, sync_file, write_json
from pdctl.supervisors.systemd_command_on_node import (
    BOOT_UNIT,
    PATH,
    boot_description,
    boot_service,
    env_file,
)
from pdctl.supervisors.systemd_unit_on_node import Service, systemctl
from pdctl.supervisors.unit_on_node import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]

UNIT_FILES = "/etc/systemd/system"
KEPT = ("unit", "stop_s", "restart", "paths", "address", "files", "relaunch", "labels")


def boot_directory(unit: Service) -> str:
    return os.path.join(unit.cluster_dir, "boot", unit.name)


def boot_file(unit: Service) -> str:
    return os.path.join(UNIT_FILES, boot_service(unit.name))


def persist(unit: Service, request: "Facts", user: str) -> None:
    """Have the engine started again after every reboot, by what it is started from now. Raises Refusal."""
    directory, path = boot_directory(unit), boot_file(unit)
    description = "Description={}\n".format(boot_description(unit.name))
    if os.path.lexists(path) and description not in read_text(path):
        raise Refusal("foreign", "{} is none of ours".format(path), "rename or remove it")
    if not PATH.match(sys.executable):
        raise Refusal("exec", "systemd's syntax would need {!r} quoted".format(sys.executable), "use another python3")
    remove_tree(directory)
    os.makedirs(directory, mode=0o700)
    launch = {key: request[key] for key in KEPT}
    launch["relaunch"] = {key: value for key, value in request["relaunch"].items() if key != "program"}
    launch.update(
        user=user,
        root=os.path.dirname(unit.cluster_dir),
        cluster=os.path.basename(unit.cluster_dir),
        secrets=sorted(request["secret_env"]),
    )
    write_json(os.path.join(directory, "boot.json"), launch)
    for name, content in (("secrets", env_file(request["secret_env"])), ("boot.py", request["relaunch"]["program"])):
        new_file(os.path.join(directory, name), content)
        sync_file(os.path.join(directory, name))
    sync_file(directory)
    text = BOOT_UNIT.format(description=boot_description(unit.name), directory=directory, python=sys.executable)
    with open(path + ".pdctl", "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
    sync_file(path + ".pdctl")
    os.rename(path + ".pdctl", path)
    sync_file(UNIT_FILES)
    status, _, error = systemctl("enable", "--", boot_service(unit.name))  # has systemd read it, too
    if status:
        unpersist(unit)
        raise Refusal("supervisor", "the boot unit cannot be enabled: " + (error or "status {}".format(status)))


def unpersist(unit: Service) -> None:
    """No start at boot any more. Nothing to do where there was none."""
    path = boot_file(unit)
    if "Description={}\n".format(boot_description(unit.name)) in read_text(path):
        service = boot_service(unit.name)
        systemctl("disable", "--now", "--", service)
        os.unlink(path)
        systemctl("daemon-reload")
        systemctl("reset-failed", "--", service)
    remove_tree(boot_directory(unit))
    try:
        os.rmdir(os.path.join(unit.cluster_dir, "boot"))
    except OSError:  # others of the cluster are in it, or it never was
        return
