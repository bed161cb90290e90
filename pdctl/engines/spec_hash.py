"""What an instance was started from, as a hash to compare and as named fields to explain a difference.

Only what the operator wrote counts: not ports, not the generation, not facts found on the node. Two spellings of one
flag are one input. Names that place the instance (node, slot) are no inputs: they identify it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pdctl.engines.flags import canonical
from pdctl.model.deployment import Deployment, Instance
from pdctl.model.role import SupervisorKind

HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One input that differs; None where it was absent."""

    field: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.old)} -> {_shown(self.new)}"


def spec_hash(deployment: Deployment, instance: Instance) -> str:
    """16 hex digits of the sha256 over the canonical JSON of `spec_fields`."""
    return hash_fields(spec_fields(deployment, instance))


def hash_fields(fields: Mapping[str, str]) -> str:
    """The spec hash that belongs to stored fields."""
    text = json.dumps(dict(fields), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def spec_fields(deployment: Deployment, instance: Instance) -> dict[str, str]:
    """Every input of the instance, flat: `kv.mode` -> `read`, `args.max-model-len` -> `16384`. Secrets by name only."""
    return dict(sorted({**dict(_shared(deployment)), **dict(_own(deployment, instance))}.items()))


def diff_fields(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[FieldChange, ...]:
    """The inputs that differ, by name."""
    return tuple(
        FieldChange(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def _shared(deployment: Deployment) -> Iterator[tuple[str, str]]:
    engine, kv = deployment.engine, deployment.kv
    yield "model.name", deployment.model.name
    yield "model.path", deployment.model.path
    yield "engine.kind", engine.kind.value
    yield "engine.version", engine.version
    yield "engine.supervisor", engine.supervisor.value
    if engine.python is not None:
        yield "engine.python", engine.python
    if engine.image is not None:
        yield "engine.image", engine.image
    if engine.user is not None:
        yield "engine.user", engine.user
    if engine.persist:
        yield "engine.persist", "true"
    if engine.supervisor is SupervisorKind.DOCKER:
        if deployment.docker.host_rdma:
            yield "docker.host_rdma", "true"
        if deployment.docker.mounts:
            yield "docker.mounts", ",".join(str(mount) for mount in deployment.docker.mounts)
    yield "kv.connector", kv.connector.value
    yield "kv.mode", kv.mode.value
    if kv.buffer_device is not None:
        yield "kv.buffer_device", kv.buffer_device
    yield "budgets.shutdown_s", f"{deployment.budgets.shutdown_s:g}"  # a flag of the running engine
    if deployment.secrets:
        yield "secrets", ",".join(sorted(secret.name for secret in deployment.secrets))


def _own(deployment: Deployment, instance: Instance) -> Iterator[tuple[str, str]]:
    pool = deployment.pools[instance.pool]
    yield "pool", instance.pool
    yield "role", instance.role.value
    yield "parallel.tp", str(instance.parallel.tp)
    yield "parallel.dp", str(instance.parallel.dp)
    yield "parallel.ep", _text(instance.parallel.ep)
    for flag, value in canonical(pool.args).items():
        yield f"args.{flag}", _text(value)
    for name, setting in pool.env.items():
        yield f"env.{name}", setting
    for index, part in enumerate(instance.parts):
        node = deployment.nodes[part.node]
        prefix = "" if len(instance.parts) == 1 else f"part{index}."
        yield f"{prefix}gpus", ",".join(str(gpu) for gpu in part.gpus)
        yield f"{prefix}data_address", node.data_address
        for name, setting in node.env.items():
            yield f"{prefix}node.env.{name}", setting


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: str | None) -> str:
    return "(none)" if value is None else value or '""'
