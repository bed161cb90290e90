"""Node side: what a container of ours consists of, as text: the command line of `run`, the files it reads. Pure.

Choices that are not obvious:
- `--init`: as PID 1 an engine would get no signal that it does not handle, and would have to reap workers of workers.
  When the main process ends so does init, and the kernel kills all that is left in the PID namespace.
- `--restart unless-stopped` and not `always`, which starts a stopped container again when the daemon restarts.
- No `--shm-size`: with `--ipc host`, /dev/shm is the node's own.
- `--env-file` is for what anybody in the docker group may read (`docker inspect` shows it). Secrets are in a file that
  the main process reads, and for engines removes, before it becomes the engine.
"""

import math
import re

from pdctl.supervisors.node_state_on_node import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]

LOG_FILES = 2
SECRETS_AT = "/run/pdctl"  # in the container
JIT_AT = "/opt/vllm_cache"
JIT_DIRECTORIES = {
    "AITER_JIT_DIR": "aiter",
    "TRITON_CACHE_DIR": "triton",
    "VLLM_CACHE_ROOT": "vllm",
    "COMGR_CACHE_DIR": "comgr",
}
ENGINE_FLAGS = (  # as AMD's recipes have them, without --privileged
    "--cap-add=IPC_LOCK",
    "--cap-add=SYS_PTRACE",
    "--security-opt=seccomp=unconfined",
    "--ulimit=memlock=-1:-1",  # RDMA pins memory
    "--ulimit=nofile=1048576:1048576",
    "--ulimit=stack=67108864:67108864",
    "--pids-limit=-1",  # podman's default is 2048
)
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

READ_SECRETS = """\
# Reads the secrets here, so that no `inspect` shows them, then becomes the engine.
set -a
. {place}/env || exit
set +a
{forget}exec "$@"
"""


def run_command(unit: str, request: "Facts", place: "Facts") -> "list[str]":
    """The arguments of docker or podman; no secret is in them.

    `place`: {argv, labels, env_file, secrets, devices, groups, mounts: [(source, target, writable)]}.
    """
    engine = request["labels"]["kind"] == "engine"
    words = ["run", "--detach", "--pull=never", "--name=" + unit]
    words += ["--label={}={}".format(name, value) for name, value in sorted(place["labels"].items())]
    words += ["--network=host", "--ipc=host", "--init"]
    words.append("--restart=" + ("unless-stopped" if request["restart"] == "always" else "no"))
    words += ["--stop-signal=SIGTERM", "--stop-timeout={}".format(whole_seconds(request["stop_s"]))]
    cap = "max-size={}".format(request["log_cap_bytes"] // LOG_FILES)
    words += ["--log-driver=json-file", "--log-opt=" + cap, "--log-opt=max-file={}".format(LOG_FILES)]
    words.append("--env-file=" + place["env_file"])
    words += ENGINE_FLAGS if engine else ()
    words += ["--device=" + path for path in place["devices"]]
    words += ["--group-add={}".format(number) for number in place["groups"]]
    words += [mount_option(*mount) for mount in place["mounts"]]
    argv = place["argv"]
    if place["secrets"]:
        argv = ["/bin/sh", SECRETS_AT + "/exec.sh", *argv]
    # An image's own entry point (`vllm serve` in some) would come before ours.
    return [*words, "--entrypoint=" + argv[0], "--", request["image"], *argv[1:]]


def whole_seconds(budget_s: float) -> int:
    return max(1, math.ceil(budget_s))


def mount_option(source: str, target: str, writable: bool) -> str:
    for path in (source, target):
        if re.search('[,"\n]', path):
            raise Refusal("path", "{!r} cannot be mounted in a container".format(path), "rename it: no commas, quotes")
    return "--mount=type=bind,source={},target={}{}".format(source, target, "" if writable else ",readonly")


def container_labels(labels: "Facts", more: "dict[str, str]") -> "dict[str, str]":
    """Our labels, as `docker ps --filter label=` matches them: whole."""
    found = {"pdctl." + name: str(value) for name, value in labels.items() if name != "gpus"}
    found["pdctl.gpus"] = ",".join(str(gpu) for gpu in labels["gpus"])
    found.update(("pdctl." + name, value) for name, value in more.items())
    return found


def env_lines(env: "dict[str, str]") -> str:
    """An --env-file: values are taken as they are, to the end of the line."""
    check_names(env)
    for name in env:
        if re.search("[\x00\r\n\ud800-\udfff]", env[name]):
            raise Refusal("env", "the value of {} is not one line of text".format(name), "encode the value")
    return "".join("{}={}\n".format(name, env[name]) for name in sorted(env))


def secret_lines(env: "dict[str, str]") -> str:
    """Assignments for a POSIX shell. Refuses, without naming any value, what no environment can hold."""
    check_names(env)
    for name in env:
        if re.search("[\x00\ud800-\udfff]", env[name]):
            raise Refusal("env", "the value of {} cannot be in an environment".format(name), "encode the value")
    return "".join("{}='{}'\n".format(name, env[name].replace("'", "'\\''")) for name in sorted(env))


def check_names(env: "dict[str, str]") -> None:
    for name in env:
        if not ENV_NAME.match(name):
            raise Refusal("env", "{!r} cannot be the name of an environment variable".format(name), "rename it")


def read_secrets(restart: str) -> str:
    """The script that the container runs first. What may be restarted has to find its secrets again."""
    forget = "" if restart == "always" else "rm -f {}/env\n".format(SECRETS_AT)
    return READ_SECRETS.format(place=SECRETS_AT, forget=forget)


def jit_environment() -> "dict[str, str]":
    return {name: "{}/{}".format(JIT_AT, directory) for name, directory in JIT_DIRECTORIES.items()}
