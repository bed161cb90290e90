"""From the inventory to a Deployment: slots, instances, merged settings, resolved paths.

Pure but for `~` and the login, which can be given. Upper floors see the Deployment only.
"""

from __future__ import annotations

import getpass
from pathlib import Path

from pdctl.inventory.load import Inventory
from pdctl.inventory.rules_checks import thresholds
from pdctl.inventory.schema import InventorySpec, NodeSection
from pdctl.inventory.sections import SshSection
from pdctl.inventory.slots import merged_args, merged_env, slots_of
from pdctl.model.check_policy import CheckPolicy
from pdctl.model.deployment import (
    Budgets,
    CanarySpec,
    Deployment,
    DockerSpec,
    EngineSpec,
    Instance,
    KvSpec,
    ModelSpec,
    NodeSpec,
    Parallel,
    Part,
    PoolSpec,
    RouterSpec,
    Secret,
    Slo,
    Slot,
    SshSettings,
    TelemetrySpec,
)


def place(inventory: Inventory, *, home: Path | None = None, login: str | None = None) -> Deployment:
    """What `inventory` amounts to. `home` and `login` stand in for the operator's own."""
    spec = inventory.spec
    paths = _Paths(inventory.path.parent, home if home is not None else Path.home())
    user = login if login is not None else _login(spec)
    pools = {name: _pool(spec, name) for name in spec.pools}
    slots = tuple(placed.slot for placed in slots_of(spec))
    return Deployment(
        cluster=spec.cluster,
        model=ModelSpec(spec.model.name, spec.model.path or spec.model.name, spec.model.mla),
        slo=Slo(spec.slo.ttft, spec.slo.itl, spec.slo.attainment),
        engine=_engine(spec),
        kv=KvSpec(spec.kv.connector, spec.kv.mode, spec.kv.buffer_device),
        router=_router(spec),
        pools=pools,
        nodes={name: _node(spec, name, node, user, paths) for name, node in spec.nodes.items()},
        slots=slots,
        instances=instances(slots, pools),
        secrets=tuple(_secrets(spec, paths)),
        lease_node=spec.lease_node or spec.router.node,
        budgets=_budgets(spec),
        source=str(inventory.path),
        digest=inventory.digest,
        state_dir=spec.state_dir,
        docker=DockerSpec(spec.docker.host_rdma, spec.docker.mounts),
        checks=_checks(spec),
        telemetry=TelemetrySpec(
            spec.telemetry.source,
            spec.telemetry.url or "",
            CanarySpec(spec.telemetry.canary.budget, spec.telemetry.canary.fence),
        ),
        read_only=spec.read_only,
        protected=spec.protected,
        usd_per_gpu_hour=spec.price.usd_per_gpu_hour,
    )


def instances(slots: tuple[Slot, ...], pools: dict[str, PoolSpec]) -> tuple[Instance, ...]:
    """The instances that slots hold, in the slots' order; a group's stands where its first slot does."""
    found: list[Instance] = []
    grouped: set[str] = set()
    for slot in slots:
        if slot.pool is None or slot.group in grouped:
            continue
        pool = pools[slot.pool]
        if slot.group is not None:
            grouped.add(slot.group)
            parts = [_part(member, member.gpus, 0) for member in slots if member.group == slot.group]
            found.append(_instance(pool, tuple(parts), slot.group))
            continue
        size = pool.parallel.ranks
        for index in range(len(slot.gpus) // size):
            part = _part(slot, slot.gpus[index * size : (index + 1) * size], index)
            found.append(_instance(pool, (part,), None))
    return tuple(found)


class _Paths:
    """Paths of the inventory: `~` is the operator's home, relative ones start at the inventory's directory."""

    def __init__(self, base: Path, home: Path) -> None:
        self._base = base
        self._home = home

    def resolve(self, text: str | None) -> str | None:
        if text is None:
            return None
        if text == "~" or text.startswith("~/"):
            return str(self._home / text[2:])
        return str(self._base / Path(text))


def _part(slot: Slot, gpus: tuple[int, ...], index: int) -> Part:
    return Part(slot.node, slot.name, gpus, f"{slot.id}.{index}")


def _instance(pool: PoolSpec, parts: tuple[Part, ...], group: str | None) -> Instance:
    return Instance(parts[0].name, pool.name, pool.role, pool.parallel, parts, group)


def _pool(spec: InventorySpec, name: str) -> PoolSpec:
    pool = spec.pools[name]
    return PoolSpec(
        name=name,
        role=pool.role,
        parallel=Parallel(pool.parallel.tp, pool.parallel.dp, pool.parallel.ep),
        args=merged_args(spec.engine.args, pool.args),
        env=merged_env(spec.engine.env, pool.env),
        min_instances=pool.min_instances,
    )


def _checks(spec: InventorySpec) -> CheckPolicy:
    checks = spec.checks
    return CheckPolicy(
        dict(checks.unknown), dict(checks.severity), dict(checks.pinned), thresholds(checks.thresholds), checks.gate
    )


def _engine(spec: InventorySpec) -> EngineSpec:
    engine = spec.engine
    return EngineSpec(
        engine.kind, engine.version, engine.supervisor, engine.python, engine.image, engine.user, engine.persist
    )


def _router(spec: InventorySpec) -> RouterSpec:
    router = spec.router
    return RouterSpec(
        kind=router.kind,
        node=router.node,
        port=router.port,
        supervisor=router.supervisor,
        python=router.python,
        host=router.host,
        policy=router.policy,
        script=router.script,
        args=merged_args({}, router.args),
        image=router.image,
    )


def _budgets(spec: InventorySpec) -> Budgets:
    budgets = spec.budgets
    return Budgets(budgets.ready, budgets.drain, budgets.settle, budgets.shutdown, budgets.stop)


def _node(spec: InventorySpec, name: str, node: NodeSection, login: str, paths: _Paths) -> NodeSpec:
    ssh = _overridden(spec.ssh, node.ssh)
    return NodeSpec(
        name=name,
        host=node.host,
        port=node.port or ssh.port or 22,
        data_address=node.data_address or node.host,
        gpu=node.gpu,
        gpus=node.gpus,
        nics=node.nics,
        ssh=SshSettings(
            user=ssh.user or login,
            identity=paths.resolve(ssh.identity),
            jump=ssh.jump,
            known_hosts=paths.resolve(ssh.known_hosts),
            ssh_config=paths.resolve(ssh.ssh_config),
            agent=ssh.agent,
            accept_new=ssh.accept_new,
            connect_timeout_s=ssh.connect_timeout,
            keepalive_s=ssh.keepalive,
            keepalive_count=ssh.keepalive_count,
            engine_http=ssh.engine_http,
        ),
        host_id=node.host_id,
        env=dict(node.env),
    )


def _overridden(common: SshSection, own: SshSection) -> SshSection:
    """The common settings with those that the node says itself over them; a null takes one back."""
    return common.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


def _secrets(spec: InventorySpec, paths: _Paths) -> list[Secret]:
    secrets: list[Secret] = []
    for name, secret in spec.secrets.items():
        if secret.env is not None:
            secrets.append(Secret(name, "env", secret.env))
        elif secret.command is not None:
            secrets.append(Secret(name, "command", secret.command))
        else:
            secrets.append(Secret(name, "file", paths.resolve(secret.file) or ""))
    return secrets


def _login(spec: InventorySpec) -> str:
    """The operator's login, asked for only where a node names no user."""
    if all(node.ssh.user or spec.ssh.user for node in spec.nodes.values()):
        return ""
    return getpass.getuser()
