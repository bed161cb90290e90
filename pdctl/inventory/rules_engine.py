"""Rules on the engine and the router as programs: release, supervisor, flags that are pdctl's own, time budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from pdctl.inventory.document import Loc
from pdctl.inventory.finding import Context, Finding, Rule
from pdctl.model.deployment import ArgValue
from pdctl.model.role import Connector, EngineKind, SupervisorKind

DRAIN_RELEASE = (0, 18)
"""First vLLM with --shutdown-timeout: before it, SIGTERM aborts what is in flight."""

MORIIO_RELEASE = (0, 21)
"""First vLLM whose MoRI-IO registration vllm-router understands."""

_LB = "data parallel ranks are balanced by vLLM's internal load balancer; other modes are not supported"
_OWNED_ARGS: Mapping[str, str] = {
    "model": "it is `model.path`",
    "served-model-name": "it is `model.name`",
    "host": "it is the node's data_address",
    "port": "ports are planned for every launch",
    "uds": "engines listen on the ports that pdctl plans",
    "config": "a file on the node could set anything behind pdctl's back",
    "kv-transfer-config": "it is made from `kv` and the planned ports",
    "tensor-parallel-size": "it is `parallel.tp` of the pool",
    "pipeline-parallel-size": "pdctl lays out tp and dp only",
    "enable-expert-parallel": "it is `parallel.ep` of the pool",
    "shutdown-timeout": "it is `budgets.shutdown`",
    "headless": "it follows from `group`",
    "nnodes": "it follows from `group`",
    "node-rank": "it follows from `group`",
    "master-addr": "it follows from `group`",
    "master-port": "it follows from `group`",
    "data-parallel-hybrid-lb": _LB,
    "data-parallel-external-lb": _LB,
    "data-parallel-multi-port-external-lb": _LB,
    "disable-log-stats": "it removes the metrics that tell when an engine is drained",
}
_OWNED_ROUTER_ARGS: Mapping[str, str] = {
    "host": "it is `router.host`",
    "port": "it is `router.port`",
    "policy": "it is `router.policy`",
    "kv-connector": "it is `kv.connector`",
    **dict.fromkeys(
        ("worker-urls", "prefill", "decode", "vllm-pd-disaggregation", "service-discovery"),
        "the registrar owns membership",
    ),
    **dict.fromkeys(
        ("vllm-discovery-address", "service-discovery-port", "prometheus-host", "prometheus-port"),
        "these ports are planned",
    ),
}
_SECRET_ARGS: Mapping[str, str] = {"api-key": "VLLM_API_KEY"}


def release_supported(context: Context) -> Iterator[Finding]:
    """pdctl stops engines by draining them, and MoRI-IO's registration changed once."""
    engine = context.spec.engine
    release = tuple(int(part) for part in engine.version.split("."))
    if release < DRAIN_RELEASE:
        message = f"vLLM {engine.version} cannot drain: --shutdown-timeout came with 0.18"
        yield Finding(("engine", "version"), message, "0.33 is the release that pdctl is tested with")
    elif context.spec.kv.connector is Connector.MORIIO and release < MORIIO_RELEASE:
        message = f"MoRI-IO needs vLLM 0.21 or newer, not {engine.version}: its registration changed"
        yield Finding(("engine", "version"), message, needs=(("kv", "connector"),))


def supervisors_have_programs(context: Context) -> Iterator[Finding]:
    """docker runs an image; systemd and process run a Python. The simulated engine brings its own."""
    spec = context.spec
    for loc, unit in ((("engine",), spec.engine), (("router",), spec.router)):
        docker = unit.supervisor is SupervisorKind.DOCKER
        missing = "image" if docker and unit.image is None else ""
        if not docker and unit.python is None and spec.engine.kind is EngineKind.VLLM:
            missing = "python"
        if missing:
            example = "rocm/vllm-dev:nightly" if missing == "image" else "/opt/vllm/bin/python"
            message = f"the supervisor {unit.supervisor.value} needs `{missing}`"
            needs: tuple[Loc, ...] = ((*loc, missing), ("engine", "kind"))
            yield Finding((*loc, "supervisor"), message, f"for example `{missing}: {example}`", needs)


def systemd_only(context: Context) -> Iterator[Finding]:
    """A container runs as its image's user, a plain process as the login; and only systemd starts engines at boot."""
    engine = context.spec.engine
    if engine.supervisor is SupervisorKind.SYSTEMD:
        return
    needs: tuple[Loc, ...] = (("engine", "supervisor"),)
    for key, written in (("user", engine.user is not None), ("persist", engine.persist)):
        if written:
            message = f"only the supervisor systemd has `{key}`, not {engine.supervisor.value}"
            yield Finding(("engine", key), message, "remove it, or set `supervisor: systemd`", needs)


def persist_on_one_node(context: Context) -> Iterator[Finding]:
    """The parts of a group share a generation, and no part can know at boot which one the others took."""
    spec = context.spec
    if not spec.engine.persist:
        return
    for name, node in spec.nodes.items():
        locs: list[Loc] = [("nodes", name, "group")] if node.group is not None else []
        locs += [("nodes", name, "slots", key, "group") for key, slot in node.slots.items() if slot.group is not None]
        for loc in locs:
            message = "an instance of several nodes cannot start by itself after a reboot"
            yield Finding(loc, message, "remove `persist` from `engine`, or the group", (("engine", "persist"),))


def owned_flags(context: Context) -> Iterator[Finding]:
    """Flags that pdctl sets itself, or whose value must not be in a file."""
    spec = context.spec
    yield from _owned(("router", "args"), spec.router.args, _OWNED_ROUTER_ARGS)
    yield from _owned(("engine", "args"), spec.engine.args, _OWNED_ARGS)
    for name, pool in spec.pools.items():
        yield from _owned(("pools", name, "args"), pool.args, _OWNED_ARGS)


def _owned(loc: Loc, args: Mapping[str, ArgValue], owned: Mapping[str, str]) -> Iterator[Finding]:
    for key, value in args.items():
        reason = owned.get(key)
        if reason is None and owned is _OWNED_ARGS and key.startswith("data-parallel-"):
            reason = "it follows from `parallel.dp` of the pool"
        if reason is not None:
            yield Finding((*loc, key), f"--{key} is set by pdctl: {reason}", "remove it", at_key=True)
        elif key in _SECRET_ARGS and value is not None:
            hint = f"write `secrets: {{{_SECRET_ARGS[key]}: {{env: {_SECRET_ARGS[key]}}}}}`"
            yield Finding((*loc, key), f"--{key} would show a secret in process lists", hint, at_key=True)


def budgets_nest(context: Context) -> Iterator[Finding]:
    """settle < shutdown < stop < drain: an outer budget that ends first would cut the inner one."""
    budgets = context.spec.budgets
    names = ("settle", "shutdown", "stop", "drain")
    for inner, outer in pairwise(names):
        short, long = getattr(budgets, inner), getattr(budgets, outer)
        if short >= long:
            written = inner if inner in budgets.model_fields_set else outer
            message = f"{inner} ({short:g} s) must be shorter than {outer} ({long:g} s)"
            needs: tuple[Loc, ...] = (("budgets", inner), ("budgets", outer))
            yield Finding(("budgets", written), message, "budgets nest: settle < shutdown < stop < drain", needs)


ENGINE_RULES: tuple[Rule, ...] = (
    release_supported,
    supervisors_have_programs,
    systemd_only,
    persist_on_one_node,
    owned_flags,
    budgets_nest,
)
