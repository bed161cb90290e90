"""Router and registrar as units: pure, from the deployment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pdctl.engines.spec_hash import hash_fields
from pdctl.model.deployment import Deployment
from pdctl.model.role import RouterKind, SupervisorKind, UnitKind
from pdctl.model.unit import Labels, Restart, UnitSpec
from pdctl.routers import toy_proxy, vllm_router
from pdctl.routers.bundle import registrar_source
from pdctl.routers.facts import Removal, router_facts
from pdctl.routers.ports import RouterPorts, planned_ports

PROGRAM = "registrar.py"
MEMBERS_FILE = "members.json"
STATE_FILE = "registrar.json"
CLUSTER_DIR = "{cluster_dir}"
REGISTRAR_STOP_S = 5.0
_ENV: Mapping[str, str] = {"PYTHONUNBUFFERED": "1"}
_NO_PROXY: Mapping[str, str] = {"NO_PROXY": "*", "no_proxy": "*"}  # vllm-router's HTTP client would send KV legs there


def router_unit(deployment: Deployment, *, generation: int, flip: int = 0) -> UnitSpec:
    """The router. At SIGTERM it stops listening and finishes its streams, so its stop may take as long as a drain.

    `flip` counts changes of the transfer mode; the spec hash leaves it out. Raises PlanRefused.
    """
    spec, ports = deployment.router, planned_ports(deployment, flip)
    env = {**_ENV, **_NO_PROXY}
    listens = {ports.http, ports.discovery, ports.metrics}
    if spec.kind is RouterKind.TOY_PROXY:
        listens -= {ports.metrics}
    elif router_facts(deployment).removal is Removal.ADMIN:
        listens -= {ports.discovery}
    return UnitSpec(
        labels=_labels(
            deployment, UnitKind.ROUTER, generation, _router_argv(deployment, planned_ports(deployment)), env
        ),
        argv=_router_argv(deployment, ports),
        env=env,
        restart=Restart.ALWAYS,
        stop_s=deployment.budgets.drain_s,
        paths=() if spec.script is None else (spec.script,),
        address=spec.host,
        ports=tuple(sorted(listens)),
    )


def registrar_unit(deployment: Deployment, *, generation: int, directory: str = CLUSTER_DIR) -> UnitSpec:
    """The registrar, beside the router. Its files lie in `directory` on the node, and outlive the unit.

    Who is a member is no part of its spec: that is the members file, which `membership.py` replaces.
    """
    argv = (
        deployment.router.python or "python3",
        f"{{unit_dir}}/{PROGRAM}",
        "--members",
        f"{directory}/{MEMBERS_FILE}",
        "--state",
        f"{directory}/{STATE_FILE}",
    )
    files = {PROGRAM: registrar_source()}
    return UnitSpec(
        labels=_labels(deployment, UnitKind.REGISTRAR, generation, argv, _ENV, files),
        argv=argv,
        env=_ENV,
        restart=Restart.ALWAYS,
        stop_s=REGISTRAR_STOP_S,
        files=files,
    )


def _router_argv(deployment: Deployment, ports: RouterPorts) -> tuple[str, ...]:
    if deployment.router.kind is RouterKind.TOY_PROXY:
        return toy_proxy.argv(deployment.router, deployment, ports)
    return vllm_router.argv(deployment.router, deployment, ports)


def _labels(
    deployment: Deployment,
    kind: UnitKind,
    generation: int,
    argv: tuple[str, ...],
    env: Mapping[str, str],
    files: Mapping[str, str] | None = None,
) -> Labels:
    latched = kind is UnitKind.ROUTER and router_facts(deployment).transfer_mode_latched
    fields = {
        **({"kv.mode": deployment.kv.mode.value} if latched else {}),  # a process keeps the first that it hears
        "argv": "\0".join(argv),
        "supervisor": deployment.router.supervisor.value,
        **_container_fields(deployment),
        **{f"env.{name}": value for name, value in env.items()},
        **{f"file.{name}": hashlib.sha256(text.encode()).hexdigest() for name, text in (files or {}).items()},
    }
    return Labels(deployment.cluster, kind.value, generation, hash_fields(fields), kind)


def _container_fields(deployment: Deployment) -> Mapping[str, str]:
    if deployment.router.supervisor is not SupervisorKind.DOCKER:
        return {}
    mounts = ",".join(str(mount) for mount in deployment.docker.mounts)
    return {"image": deployment.router.image or "", "mounts": mounts}
