"""What goes to the `docker` supervisor's node side, and what its facts mean. Pure."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdctl.model.deployment import Deployment, Mount
from pdctl.model.observed import NodeView
from pdctl.model.role import EngineKind, UnitKind
from pdctl.model.unit import ExitEvidence, UnitSpec, UnitState, UnitStatus
from pdctl.ssh.text import printable
from pdctl.supervisors.unit_records import labels_from_json, service_status, service_view, start_request

Facts = Mapping[str, Any]

REBOOTED = "gone with a reboot"
NEVER_RAN = "its start was cut short"
REMOVED = "its container is gone: removed by hand, or its start was cut short"
OUT_OF_MEMORY = "killed by the kernel: out of memory"

_LINE_CHARS = 2000
_SIGNALLED = 128  # an exit status of 128 + n stands for signal n (docker run(1), EXIT STATUS)


@dataclass(frozen=True, slots=True)
class Containers:
    """What the containers of one node are made from. `images` by kind of unit; `needs_gpu`: an engine without the
    GPU driver's device is refused; `jit_cache`: engines keep compiled kernels on the node."""

    images: Mapping[UnitKind, str]
    mounts: tuple[Mount, ...] = ()
    host_rdma: bool = False
    needs_gpu: bool = False
    jit_cache: bool = False


def containers(deployment: Deployment, gpu: str) -> Containers:
    """What the deployment says of containers on a node with GPUs of the kind `gpu`."""
    router = deployment.router.image
    images = {
        UnitKind.ENGINE: deployment.engine.image,
        UnitKind.ROUTER: router,
        UnitKind.REGISTRAR: router,
    }
    real = deployment.engine.kind is EngineKind.VLLM
    return Containers(
        images={kind: image for kind, image in images.items() if image is not None},
        mounts=deployment.docker.mounts,
        host_rdma=deployment.docker.host_rdma,
        needs_gpu=real and gpu != "cpu",
        jit_cache=real,
    )


def container_request(spec: UnitSpec, made_from: Containers) -> dict[str, Any]:
    """The payload of a start. It holds the secrets: it goes over stdin, and is not for logs or reprs.

    Raises KeyError for a kind of unit without an image.
    """
    return {
        **start_request(spec),
        "image": made_from.images[spec.labels.kind],
        "mounts": [(mount.source, mount.target, mount.writable) for mount in made_from.mounts],
        "host_rdma": made_from.host_rdma,
        "needs_gpu": made_from.needs_gpu and bool(spec.labels.gpus),
        "jit_cache": made_from.jit_cache,
    }


def container_view(node: str, cluster: str, found: Facts) -> NodeView:
    """One inspection."""
    return service_view(node, cluster, found, container_status)


def container_status(cluster: str, facts: Facts) -> UnitStatus:
    """One unit."""
    return service_status(cluster, facts, _readable)


def _readable(facts: Facts) -> UnitStatus:
    shown = facts["shown"]
    spec = facts["spec"] or {}
    if shown is None:
        exit_ = ExitEvidence(None, None, spec["at"], False, reason=_remaining(facts) or REMOVED)
        return UnitStatus(labels_from_json(spec["labels"]), UnitState.FAILED, exit=exit_)
    state, evidence = _state(facts, shown)
    pid = int(shown["state"]["Pid"] or 0)
    return UnitStatus(
        labels=labels_from_json(shown["labels"]),
        state=state,
        pid=pid if pid and state in (UnitState.RUNNING, UnitState.STOPPING) else None,
        incarnation=f"{shown['id'][:12]}:{shown['started_at']:.6f}",
        started_at=shown["started_at"] or None,
        restarts=int(shown["restarts"]),
        exit=evidence,
        endpoint=printable(shown["endpoint"]),
        image=printable(shown["image"]),
        log_bytes=int(shown["log_at"]),
    )


def _state(facts: Facts, shown: Facts) -> tuple[UnitState, ExitEvidence | None]:
    match shown["state"]["Status"]:
        case "running" | "paused" | "restarting":
            return (UnitState.STOPPING if facts["stop_asked"] else UnitState.RUNNING), _last_end(shown)
        case "stopping" | "removing":
            return UnitState.STOPPING, None
        case "created" | "configured" | "initialized" | "exited" | "stopped" | "dead":
            exit_ = _evidence(facts, shown)
            return (UnitState.EXITED if _ended_well(exit_) else UnitState.FAILED), exit_
        case other:
            reason = f"the container engine calls it {printable(str(other), max_chars=40)}"
            return UnitState.UNKNOWN, ExitEvidence(None, None, 0.0, False, reason=reason)


def _last_end(shown: Facts) -> ExitEvidence | None:
    """Of a container that was restarted. docker keeps when it ended, but not how: its exit code is 0 again."""
    return ExitEvidence(None, None, shown["finished_at"], False) if shown["restarts"] else None


def _ended_well(exit_: ExitEvidence) -> bool:
    return (exit_.requested or exit_.status == 0) and not exit_.reason


def _evidence(facts: Facts, shown: Facts) -> ExitEvidence:
    state = shown["state"]
    code = int(state["ExitCode"])
    name = _signal_name(code - _SIGNALLED)
    requested = bool(facts["stop_asked"])
    killed = requested and name == "SIGKILL" and not state["OOMKilled"]
    return ExitEvidence(
        status=None if name or not shown["started_at"] else code,
        signal=name,
        at=shown["finished_at"],
        requested=requested,
        forced=killed,
        last_lines=tuple(printable(line, max_chars=_LINE_CHARS) for line in facts["tail"]),
        reason=_reason(facts, shown, requested),
    )


def _reason(facts: Facts, shown: Facts, requested: bool) -> str:
    """Where status and signal do not tell. A container that ran into the reboot is only closed once the container
    engine is back, so its end lies after the boot although its start is of an earlier one."""
    said = printable(shown["state"]["Error"] or "", max_chars=400)
    if remaining := _remaining(facts):
        return remaining
    if not shown["started_at"]:
        return said or NEVER_RAN
    if not facts["here"] and not requested and shown["finished_at"] >= facts["booted_at"]:
        return REBOOTED
    return OUT_OF_MEMORY if shown["state"]["OOMKilled"] else said


def _remaining(facts: Facts) -> str:
    if not facts["remains"]:
        return ""
    return f"its container has ended; still there: {printable(', '.join(facts['remains']), max_chars=200)}"


def _signal_name(number: int) -> str | None:
    try:
        return signal.Signals(number).name if number > 0 else None
    except ValueError:  # 255 is no signal; real-time signals have no name
        return None
