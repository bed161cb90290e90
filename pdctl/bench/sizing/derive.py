"""From an inventory to another one on the same nodes: other pools, other slots, everything else as it was. Pure."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from pdctl.bench.sizing.points import Width
from pdctl.inventory.load import Inventory, parse
from pdctl.model.role import Role

_LONGEST_NAME: Final = 32
_SSH_FILES: Final = ("identity", "known_hosts", "ssh_config")


@dataclass(frozen=True, slots=True)
class PoolDraft:
    """A pool to be written. `like`: roles of the old inventory's pools whose args and env it takes, the best first."""

    role: Role
    width: Width
    like: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """What the new inventory has instead of the old one's. `slots`: by node and name, GPUs and pool. `nodes`: those
    that stay (None: all). `router`, `kv`: keys that change."""

    cluster: str
    pools: Mapping[str, PoolDraft]
    slots: Mapping[str, Mapping[str, tuple[tuple[int, ...], str]]]
    kv: Mapping[str, str]
    nodes: frozenset[str] | None = None
    router: Mapping[str, Any] = field(default_factory=dict)
    says: Sequence[str] = ()


def derived(base: Inventory, draft: Draft, path: Path) -> Inventory:
    """The new inventory, as it would be at `path`; its `text` is what to write.

    Raises InvalidInventory where the rules refuse it.
    """
    data = copy.deepcopy(base.document.data)
    assert isinstance(data, dict)
    _make_absolute(data, base.path.parent)
    kept = {name: node for name, node in data["nodes"].items() if draft.nodes is None or name in draft.nodes}
    data |= {
        "cluster": draft.cluster,
        "kv": {**draft.kv},
        "router": {**data["router"], **draft.router},
        "pools": {name: _pool(base, pool) for name, pool in draft.pools.items()},
        "nodes": {name: _node(node, draft.slots.get(name, {})) for name, node in kept.items()},
    }
    if data.get("lease_node") not in (None, *kept):
        del data["lease_node"]
    head = "".join(f"# {line}\n" for line in draft.says)
    text = head + yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=118, allow_unicode=True)
    return parse(text.encode(), path)


def cluster_name(base: str, suffix: str) -> str:
    """`<base>-<suffix>` in at most 32 characters; a digest stands for what had to be cut."""
    name = f"{base}-{suffix}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:4]
    room = _LONGEST_NAME - len(suffix) - len(digest) - 2
    if room > 0:
        return f"{base[:room].rstrip('-')}-{digest}-{suffix}"
    return f"{suffix[: _LONGEST_NAME - len(digest) - 1].rstrip('-')}-{digest}"


def _pool(base: Inventory, draft: PoolDraft) -> dict[str, Any]:
    pools = base.spec.pools.values()
    model = next((pool for role in draft.like for pool in pools if pool.role is role), None)
    parallel: dict[str, Any] = {"tp": draft.width.tp}
    if draft.width.dp > 1:
        parallel["dp"] = draft.width.dp
    if model is not None and model.parallel.ep and draft.width.gpus > 1:
        parallel["ep"] = True
    made: dict[str, Any] = {"role": draft.role.value, "parallel": parallel, "min_instances": 1}
    if model is not None and model.args:
        made["args"] = dict(model.args)
    if model is not None and model.env:
        made["env"] = dict(model.env)
    return made


def _node(node: Mapping[str, Any], slots: Mapping[str, tuple[tuple[int, ...], str]]) -> dict[str, Any]:
    """The node without its pool and slots, with those that are wanted."""
    kept = {key: value for key, value in node.items() if key not in ("pool", "slots", "group")}
    if slots:
        kept["slots"] = {name: {"gpus": list(gpus), "pool": pool} for name, (gpus, pool) in slots.items()}
    return kept


def _make_absolute(data: dict[str, Any], directory: Path) -> None:
    """Paths that are relative to the old inventory's directory; `~` stays the operator's home."""
    sections = [data.get("ssh"), *(node.get("ssh") for node in data["nodes"].values())]
    for section, keys in (
        *((section, _SSH_FILES) for section in sections),
        *((secret, ("file",)) for secret in (data.get("secrets") or {}).values()),
    ):
        for key in keys if section else ():
            value = section.get(key)
            if isinstance(value, str) and not value.startswith(("/", "~")):
                section[key] = str(directory / value)
