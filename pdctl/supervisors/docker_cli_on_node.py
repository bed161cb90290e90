"""Node side: the container engine's command line, docker's or podman's, and containers as it shows them.

A container is ours if it carries all our labels and the name that they make; a container that was started from an
image committed from one of ours inherits the labels, but cannot have the name. No other is ever touched.
"""

import calendar
import json
import os
import re
import shutil
import subprocess
import time

from pdctl.supervisors.node_state_on_node import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]

PROGRAMS = ("docker", "podman")  # the first that is installed
CLI_WAIT_S = 20.0
LABEL = "pdctl."
TEXT_LABELS = ("cluster", "instance", "spec_hash", "kind", "pool", "role")
LIVE = ("running", "paused", "restarting", "stopping", "removing")  # "stopping" is podman's
STATE_FIELDS = ("Status", "Pid", "ExitCode", "OOMKilled", "Error")
TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(?:Z|([+-])(\d\d):(\d\d))\Z")


def container_cli() -> str:
    for program in PROGRAMS:
        found = shutil.which(program)
        if found:
            return found
    raise Refusal(
        "supervisor", "neither docker nor podman is installed", "install one, or set `supervisor: systemd` or `process`"
    )


def cli(*arguments: str, wait_s: float = CLI_WAIT_S) -> "tuple[int, str, str]":
    """(status, stdout, stderr). Raises Refusal where there is no container engine, or none that answers."""
    try:
        ran = subprocess.run(
            [container_cli(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=wait_s,
        )
    except subprocess.TimeoutExpired:
        raise Refusal(
            "supervisor",
            "the container engine has not answered `{}` for {:.0f} s".format(arguments[0], wait_s),
            "look at its daemon on the node (systemctl status docker)",
        ) from None
    error = ran.stderr.decode("utf-8", "replace").strip()
    if ran.returncode and ("Cannot connect to the Docker daemon" in error or "permission denied" in error):
        raise Refusal("supervisor", last_of(error), "start it: `systemctl start docker` on the node")
    return ran.returncode, ran.stdout.decode("utf-8", "replace"), error


def last_of(text: str) -> str:
    """The line that tells why, without docker's own advice on --help."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and "--help'" not in line]
    return lines[-1] if lines else "it gave no reason"


def containers_of(key: str) -> "list[Facts]":
    """Every container that carries the label, ended ones too; `key` is `name` or `name=value`, matched whole."""
    status, output, error = cli("ps", "--all", "--quiet", "--no-trunc", "--filter", "label=" + key)
    if status:
        raise Refusal("supervisor", "the containers cannot be listed: " + last_of(error))
    return inspected(output.split())


def container_named(name: str) -> "Facts | None":
    """The container of that name, whoever's it is."""
    found = [shown for shown in inspected([name]) if shown["name"] == name]
    return found[0] if found else None


def inspected(targets: "list[str]") -> "list[Facts]":
    """What is told of those that still are there."""
    if not targets:
        return []
    status, output, error = cli("container", "inspect", *targets)
    gone = "no such container" in error.lower() or "no container with name" in error.lower()
    if status and not gone:
        raise Refusal("supervisor", "the containers cannot be inspected: " + last_of(error))
    return [shown_container(found) for found in json.loads(output or "[]")]


def shown_container(found: "Facts") -> "Facts":
    """The fields that count, named alike for docker and podman. Env is none of them."""
    state = {field: found["State"].get(field) for field in STATE_FIELDS}
    config = found["Config"]
    labels = config.get("Labels") or {}
    log = found.get("LogPath") or ((found.get("HostConfig") or {}).get("LogConfig") or {}).get("Path") or ""
    shown = {
        "id": found["Id"],
        "name": found["Name"].lstrip("/"),
        "image": found["Image"].partition(":")[2] or found["Image"],
        "image_name": found.get("ImageName") or config.get("Image") or "",
        "restarts": found.get("RestartCount") or 0,
        "stop_s": config.get("StopTimeout") or 10,  # docker's and podman's own
        "started_at": unix_time(found["State"].get("StartedAt") or ""),
        "finished_at": unix_time(found["State"].get("FinishedAt") or ""),
        "log_at": written_at(log),
        "state": state,
        "endpoint": labels.get(LABEL + "endpoint", ""),
        "incarnation": labels.get(LABEL + "incarnation", ""),
        "boot_id": labels.get(LABEL + "boot_id", ""),
    }
    parsed = labels_shown(labels)
    named = parsed is not None and shown["name"] == "pdctl.{cluster}.{instance}".format(**parsed)
    return dict(shown, labels=parsed if named else None)


def labels_shown(found: "dict[str, str]") -> "Facts | None":
    """Our labels as they lie in records; None unless all are there."""
    gpus = found.get(LABEL + "gpus", "?")
    generation = found.get(LABEL + "generation", "")
    if any(LABEL + name not in found for name in TEXT_LABELS) or not generation.isdigit():
        return None
    if not re.match(r"(\d+(,\d+)*)?\Z", gpus):
        return None
    labels = {name: found[LABEL + name] for name in TEXT_LABELS}  # type: Facts
    labels.update(generation=int(generation), gpus=[int(gpu) for gpu in gpus.split(",") if gpu])
    if found.get(LABEL + "facts"):
        labels["facts"] = found[LABEL + "facts"]
    return labels


def is_live(shown: "Facts | None") -> bool:
    return shown is not None and shown["state"]["Status"] in LIVE


def has_run(shown: "Facts | None") -> bool:
    """Whether its main process was ever started; a `run` that was cut short leaves one that was not."""
    return shown is not None and shown["started_at"] > 0


def written_at(path: str) -> int:
    """When a log was last written to, in Unix microseconds; 0 where that cannot be seen."""
    try:
        return os.stat(path).st_mtime_ns // 1000
    except OSError:
        return 0


def unix_time(text: str) -> float:
    """Of an RFC 3339 time; 0 for none, and for the year 1 that stands for never."""
    match = TIME.match(text)
    if not match or text.startswith("0001"):
        return 0.0
    stamp, fraction, sign, hours, minutes = match.groups()
    at = calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")) + float(fraction or 0)
    offset_s = (int(hours) * 3600 + int(minutes) * 60) if sign else 0
    return at - offset_s if sign == "+" else at + offset_s
