"""What the operator changed: two deployments compared, in the inventory's own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, StrEnum

from pdctl.engines.flags import canonical
from pdctl.inventory.schema import DEFAULT_SLOT
from pdctl.model.deployment import Deployment, NodeSpec, PoolSpec, Secret, Slot

WHOLE = DEFAULT_SLOT
"""The slot of a node that the inventory does not split."""
SPARE = "spare"
_SECTIONS = (
    ("model", "model"),
    ("slo", "slo"),
    ("price", "usd_per_gpu_hour"),
    ("engine", "engine"),
    ("kv", "kv"),
    ("router", "router"),
    ("budgets", "budgets"),
    ("docker", "docker"),
    ("checks", "checks"),
    ("telemetry", "telemetry"),
    ("lease_node", "lease_node"),
    ("state_dir", "state_dir"),
)


class EditKind(StrEnum):
    """What was done to one thing of the inventory."""

    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit. `subject`: `node mi300x-02`, `pool decode`, `engine`, ...; `field` of it, with what it was and is; None
    where it is absent."""

    kind: EditKind
    subject: str
    field: str = ""
    old: str | None = None
    new: str | None = None

    def __str__(self) -> str:
        match self.kind:
            case EditKind.ADDED:
                return f"{self.subject} added" + (f": {self.new}" if self.new else "")
            case EditKind.REMOVED:
                return f"{self.subject} removed" + (f": {self.old}" if self.old else "")
            case EditKind.MOVED:
                return f"{self.subject}: {self.old} -> {self.new}"
            case _:
                path = f"{self.subject}.{self.field}" if self.field else self.subject
                return f"{path}: {_shown(self.old)} -> {_shown(self.new)}"


def inventory_diff(old: Deployment, new: Deployment) -> tuple[Edit, ...]:
    """Every edit that leads from `old` to `new`: settings, pools, nodes, slots. Values of secrets are in neither."""
    return (
        *_sections(old, new),
        *_secrets(old.secrets, new.secrets),
        *_pools(old.pools, new.pools),
        *_nodes(old, new),
        *_slots(old, new),
    )


def _sections(old: Deployment, new: Deployment) -> Iterator[Edit]:
    for subject, name in _SECTIONS:
        yield from _compared(subject, _flat(getattr(old, name)), _flat(getattr(new, name)))


def _secrets(old: Sequence[Secret], new: Sequence[Secret]) -> Iterator[Edit]:
    """Where a secret comes from may itself be telling: only that it changed is said."""
    before, now = ({secret.name: secret for secret in secrets} for secrets in (old, new))
    for name in sorted(before.keys() | now.keys()):
        if name not in before:
            yield Edit(EditKind.ADDED, f"secret {name}")
        elif name not in now:
            yield Edit(EditKind.REMOVED, f"secret {name}")
        elif before[name] != now[name]:
            yield Edit(EditKind.CHANGED, f"secrets.{name}", "", before[name].source, now[name].source)


def _pools(old: Mapping[str, PoolSpec], new: Mapping[str, PoolSpec]) -> Iterator[Edit]:
    kept = [name for name in new if name in old]
    for name in new:
        if name not in old:
            yield Edit(EditKind.ADDED, f"pool {name}", new=new[name].role.value)
    for name in old:
        if name not in new:
            yield Edit(EditKind.REMOVED, f"pool {name}", old=old[name].role.value)
    edits = {name: list(_compared(name, _pool(old[name]), _pool(new[name]))) for name in kept}
    told: set[tuple[str, str | None, str | None]] = set()
    for edit in (edit for found in edits.values() for edit in found):
        same = (edit.field, edit.old, edit.new)
        if same in told:
            continue
        told.add(same)
        having = [
            name for name, found in edits.items() if any((each.field, each.old, each.new) == same for each in found)
        ]
        # What the engine's settings say for every pool is in each of them: it was changed once.
        common = len(having) == len(kept) > 1 and edit.field.startswith(("args.", "env."))
        for name in ["engine"] if common else [f"pool {name}" for name in having]:
            yield Edit(edit.kind, name, edit.field, edit.old, edit.new)


def _pool(pool: PoolSpec) -> dict[str, str]:
    found = {"role": pool.role.value, "min_instances": str(pool.min_instances), **_flat(pool.parallel, "parallel")}
    found.update((f"args.{flag}", _text(value)) for flag, value in canonical(pool.args).items())
    found.update((f"env.{name}", value) for name, value in pool.env.items())
    return found


def _nodes(old: Deployment, new: Deployment) -> Iterator[Edit]:
    for name in new.nodes:
        if name not in old.nodes:
            yield Edit(EditKind.ADDED, f"node {name}", new=_pools_of(new, name))
        else:
            yield from _compared(f"node {name}", _node(old.nodes[name]), _node(new.nodes[name]))
    for name in old.nodes:
        if name not in new.nodes:
            yield Edit(EditKind.REMOVED, f"node {name}", old=_pools_of(old, name))


def _node(node: NodeSpec) -> dict[str, str]:
    return {field: value for field, value in _flat(node).items() if field != "name"}


def _pools_of(deployment: Deployment, node: str) -> str:
    return ", ".join(dict.fromkeys(_pool_name(slot) for slot in deployment.slots if slot.node == node))


def _slots(old: Deployment, new: Deployment) -> Iterator[Edit]:
    both = old.nodes.keys() & new.nodes.keys()
    before, now = ({slot.id: slot for slot in slots if slot.node in both} for slots in (old.slots, new.slots))
    for name in dict.fromkeys((*now, *before)):
        was, is_ = before.get(name), now.get(name)
        if is_ is None:
            assert was is not None
            yield Edit(EditKind.REMOVED, f"slot {_slot_name(was)}", old=_pool_name(was))
        elif was is None:
            yield Edit(EditKind.ADDED, f"slot {_slot_name(is_)}", new=_pool_name(is_))
        else:
            if was.pool != is_.pool:
                yield Edit(EditKind.MOVED, _slot_name(is_), "pool", _pool_name(was), _pool_name(is_))
            shapes = ({"gpus": ",".join(map(str, slot.gpus)), "group": slot.group or ""} for slot in (was, is_))
            yield from _compared(f"slot {_slot_name(is_)}", *shapes)


def _slot_name(slot: Slot) -> str:
    return slot.node if slot.name == WHOLE else slot.id


def _pool_name(slot: Slot) -> str:
    return slot.pool or SPARE


def _compared(subject: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Edit]:
    for name in dict.fromkeys((*new, *old)):
        if old.get(name) != new.get(name):
            yield Edit(EditKind.CHANGED, subject, name, old.get(name), new.get(name))


def _flat(value: object, path: str = "") -> dict[str, str]:
    """A setting and all that is in it, by dotted path; what is not set is left out."""
    if value is None:
        return {}
    if is_dataclass(value) and not isinstance(value, type):
        inner: Mapping[str, object] = {field.name: getattr(value, field.name) for field in fields(value)}
    elif isinstance(value, Mapping):
        inner = value
    else:
        return {path: _text(value)}
    found: dict[str, str] = {}
    for name, item in inner.items():
        found.update(_flat(item, f"{path}.{name}" if path else str(name)))
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return ", ".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shown(value: str | None) -> str:
    return "(none)" if value is None else value or '""'
