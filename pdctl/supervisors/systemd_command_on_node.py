"""Node side: what a systemd unit of ours consists of, as text: command line, environment file, labels, hook. Pure.

KillMode is `mixed`: SIGTERM goes to the main process alone, because vLLM's orderly drain needs its workers alive, and
when the main process is gone the rest of the cgroup is killed, sessions of their own or not (measured with systemd
252; `process` leaves workers, `control-group` takes them away under a draining engine).
"""

import re

from pdctl.supervisors.node_state_on_node import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]

LIMITS = (
    "LimitMEMLOCK=infinity",  # RDMA pins memory; the default is 8 MiB
    "LimitNOFILE=1048576",
    "LimitSTACK=67108864:infinity",  # as AMD's recipes for containers have it
    "TasksMax=infinity",
)
RESTARTING = ("Restart=always", "RestartSec=100ms", "StartLimitIntervalSec=0")
CONFINED = (  # root without its powers, but for the cluster's directory
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=CAP_DAC_READ_SEARCH",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
)
START_WAIT_S = 30  # for the exec of the main process

HOOK = """\
# Run by systemd when the main process has ended, before what it left is killed: keeps how it ended. systemd itself
# forgets a transient unit that ended well, and any unit at `reset-failed` or a reboot.
at=$(date +%s.%N)
procs=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/cgroup.procs
[ -e "$procs" ] || procs=/sys/fs/cgroup/unified${procs#/sys/fs/cgroup}
others() { n=0; while read -r _; do n=$((n + 1)); done < "$procs"; [ $n -gt 1 ]; }
tries=0 # helpers that end when their parent does are no leftovers
while [ $tries -lt 5 ] && [ -e "$procs" ] && others; do sleep 0.02; tries=$((tries + 1)); done
cd "${0%/*}" || exit
umask 077
printf '{"result": "%s", "code": "%s", "status": "%s", "invocation": "%s", "at": %s}\\n' \\
  "$SERVICE_RESULT" "$EXIT_CODE" "$EXIT_STATUS" "$INVOCATION_ID" "$at" > ended.tmp && mv ended.tmp ended.json
"""
HOOK_FORGETS_ENV = "rm -f env\n"  # where no restart will read it again

BOOT_UNITS = "pdctl-boot.*.service"
BOOT_UNIT = """\
[Unit]
Description={description}
Wants=network-online.target
After=network-online.target remote-fs.target
RequiresMountsFor={directory}
StartLimitIntervalSec=3600
StartLimitBurst=60

[Service]
Type=exec
EnvironmentFile={directory}/secrets
ExecStart={python} -I {directory}/boot.py
Restart=on-failure
RestartSec=10

[Install]
WantedBy=multi-user.target
"""

LABELS = ("cluster", "instance", "generation", "spec_hash", "kind", "pool", "role")
PATH = re.compile(r"/[A-Za-z0-9/._-]*\Z")  # needs no quoting in any of systemd's syntaxes
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# systemd drops such a variable with no more than a warning (env_value_is_valid in env-util.c), tab and newline apart.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def check_root(root: str) -> None:
    if not PATH.match(root):
        raise Refusal(
            "disk",
            "the state directory {!r} holds characters that systemd's syntax would need quoted".format(root),
            "use letters, digits and /._- in state_dir",
        )


def run_command(service: str, request: "Facts", place: "Facts") -> "list[str]":
    """The command line of systemd-run. `place`: {directory, user, groups, argv, cluster_dir}; no secret is in it."""
    properties = [
        "Description=" + described(request["labels"]),
        "User=" + place["user"],
        "WorkingDirectory=-~",
        "EnvironmentFile=" + place["directory"] + "/env",
        "ExecStopPost=+-/bin/sh " + place["directory"] + "/ended.sh",
        "KillMode=mixed",
        "SendSIGKILL=yes",
        "TimeoutStartSec={}s".format(START_WAIT_S),
        "TimeoutStopSec={}ms".format(max(1, round(request["stop_s"] * 1000))),
    ]
    if place["groups"]:
        properties.append("SupplementaryGroups=" + " ".join(place["groups"]))
    properties.extend(LIMITS)
    properties.extend(RESTARTING if request["restart"] == "always" else ("Restart=no",))
    if request["labels"]["kind"] == "registrar":
        properties.extend((*CONFINED, "ReadWritePaths=" + place["cluster_dir"]))
    command = ["systemd-run", "--quiet", "--no-ask-password", "--unit=" + service, "--service-type=exec"]
    command.extend("--property=" + item for item in properties)
    # systemd expands $NAME in arguments (systemd.service(5), COMMAND LINES); $$ is a dollar.
    return [*command, "--", *(word.replace("$", "$$") for word in place["argv"])]


def env_file(env: "dict[str, str]") -> str:
    """The EnvironmentFile (systemd.exec(5)). Refuses, without naming any value, what systemd would silently drop."""
    lines = []
    for name in sorted(env):
        if not NAME.match(name):
            raise Refusal("env", "{!r} cannot be the name of an environment variable".format(name), "rename it")
        if UNPRINTABLE.search(env[name]):
            raise Refusal(
                "env",
                "the value of {} holds control characters, which systemd drops".format(name),
                "remove them, or encode the value",
            )
        lines.append('{}="{}"\n'.format(name, re.sub(r'(["\\$`])', r"\\\1", env[name])))
    return "".join(lines)


def described(labels: "Facts") -> str:
    """The labels as a unit's Description, where one `systemctl show` of a node reads them back."""
    words = ["{}={}".format(name, labels[name]) for name in LABELS]
    words.append("gpus=" + ",".join(str(gpu) for gpu in labels["gpus"]))
    if labels.get("facts"):
        words.append("facts=" + labels["facts"])
    return " ".join(["pdctl", *words])


def labels_described(description: str) -> "Facts | None":
    """The labels in a Description; None where it is none of ours."""
    words = description.split(" ")
    pairs = [word.partition("=") for word in words[1:]]
    names = tuple(name for name, _, _ in pairs)
    if words[0] != "pdctl" or names not in ((*LABELS, "gpus"), (*LABELS, "gpus", "facts")):
        return None
    labels = {name: value for name, _, value in pairs}  # type: Facts
    if not labels["generation"].isdigit() or not re.match(r"(\d+(,\d+)*)?\Z", labels["gpus"]):
        return None
    labels["generation"] = int(labels["generation"])
    labels["gpus"] = [int(gpu) for gpu in labels["gpus"].split(",") if gpu]
    return labels


def boot_service(unit: str) -> str:
    """The unit that starts `unit` again at boot: none of the cluster's, whose names begin with `pdctl.`."""
    return "pdctl-boot." + unit[len("pdctl.") :] + ".service"


def boot_description(unit: str) -> str:
    """What tells a unit file of ours from another of its name."""
    return "pdctl boot of {}: a new generation of it after a reboot".format(unit)
