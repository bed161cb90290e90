"""Rules on nodes and their slots: names, addresses, GPUs, and what refers to a node or a pool."""

from __future__ import annotations

from collections.abc import Iterator

from pdctl.inventory.document import Loc, dotted
from pdctl.inventory.finding import Context, Finding, Rule, did_you_mean
from pdctl.inventory.slots import PlacedSlot
from pdctl.model.role import UnitKind

_RESERVED = (UnitKind.ROUTER.value, UnitKind.REGISTRAR.value)


def something_to_run(context: Context) -> Iterator[Finding]:
    """An inventory has pools and nodes."""
    if not context.pool_names:
        yield Finding(("pools",), "there is no pool", "at least one, such as `decode: {role: decode}`")
    if not context.node_names:
        yield Finding(("nodes",), "there is no node")


def reserved_names(context: Context) -> Iterator[Finding]:
    """`router` and `registrar` are units of ours: commands take their names."""
    for name in context.spec.nodes:
        if name in _RESERVED:
            yield Finding(
                ("nodes", name), f"{name!r} is the name of a unit of ours", "name the node otherwise", at_key=True
            )


def known_nodes(context: Context) -> Iterator[Finding]:
    """The router and the lease live on nodes of this inventory."""
    spec = context.spec
    for loc, name in ((("router", "node"), spec.router.node), (("lease_node",), spec.lease_node)):
        if name is not None and name not in context.node_names:
            yield Finding(loc, f"there is no node {name!r}", did_you_mean(name, context.node_names))


def known_pools(context: Context) -> Iterator[Finding]:
    """Every slot's pool exists."""
    for placed in context.slots():
        pool = placed.slot.pool
        if pool is not None and pool not in context.pool_names:
            hint = did_you_mean(pool, context.pool_names)
            yield Finding((*placed.loc, "pool"), f"there is no pool {pool!r}", hint)


def whole_or_split(context: Context) -> Iterator[Finding]:
    """A node has one pool, or slots that have one each; its SSH port is said once."""
    for name, node in context.spec.nodes.items():
        for key in ("pool", "group"):
            if node.slots and getattr(node, key) is not None:
                hint = f"move `{key}` into each slot"
                yield Finding(("nodes", name, key), f"a node that is split into slots has no `{key}` itself", hint)
        if node.port is not None and node.ssh.port is not None:
            yield Finding(("nodes", name, "ssh", "port"), "the SSH port is said twice", "keep the node's `port`")


def gpus_exist(context: Context) -> Iterator[Finding]:
    """A slot's GPUs are GPUs of its node."""
    for placed in context.slots():
        count = context.spec.nodes[placed.slot.node].gpus
        outside = [gpu for gpu in placed.slot.gpus if gpu >= count]
        if outside:
            loc: Loc = (*placed.loc, "gpus")
            needs: tuple[Loc, ...] = (("nodes", placed.slot.node, "gpus"),)
            message = f"there is no GPU {_list(outside)}: {placed.slot.node} has {count}"
            yield Finding(loc, message, f"GPUs count from 0 to {count - 1}", needs)


def gpus_used_once(context: Context) -> Iterator[Finding]:
    """No GPU of one machine is in two slots, also where two entries share the machine."""
    owners: dict[tuple[str, int], PlacedSlot] = {}
    for placed in context.slots():
        node = context.spec.nodes[placed.slot.node]
        machine = f"host_id {node.host_id}" if node.host_id else f"node {placed.slot.node}"
        taken: dict[Loc, list[int]] = {}
        for gpu in placed.slot.gpus:
            owner = owners.setdefault((machine, gpu), placed)
            if owner is not placed or placed.slot.gpus.count(gpu) > 1:
                taken.setdefault(owner.loc, []).append(gpu)
        for loc, gpus in taken.items():
            other = "this slot itself" if loc == placed.loc else dotted(loc)
            message = f"GPU {_list(sorted(set(gpus)))} of {machine} is already used by {other}"
            needs: tuple[Loc, ...] = (("nodes", placed.slot.node, "host_id"), (*loc, "gpus"))
            yield Finding((*placed.loc, "gpus"), message, "a GPU belongs to one slot", needs)


def one_machine_each(context: Context) -> Iterator[Finding]:
    """Two entries reach the same machine, or share a data address, only with an explicit, equal host_id."""
    seen: dict[tuple[str, str], str] = {}
    default = context.spec.ssh.port or 22
    for name, node in context.spec.nodes.items():
        port = node.port or node.ssh.port or default
        keys = (("host", f"{node.host}:{port}"), ("data_address", node.data_address or node.host))
        for field, address in keys:
            first = seen.setdefault((field, address), name)
            if first == name or _same_machine(context, first, name):
                continue
            written = field if getattr(node, field) is not None else "host"
            needs: tuple[Loc, ...] = (("ssh", "port"), ("nodes", first), ("nodes", name))
            hint = "if they share the machine on purpose, give both the same host_id"
            yield Finding(("nodes", name, written), f"{_called(field)} {address} is also that of {first}", hint, needs)
            break


def _same_machine(context: Context, first: str, second: str) -> bool:
    one, two = context.spec.nodes[first].host_id, context.spec.nodes[second].host_id
    return one is not None and one == two


def _called(field: str) -> str:
    return "the SSH address" if field == "host" else "the data address"


def _list(gpus: list[int]) -> str:
    return ", ".join(map(str, gpus))


NODE_RULES: tuple[Rule, ...] = (
    something_to_run,
    reserved_names,
    known_nodes,
    known_pools,
    whole_or_split,
    gpus_exist,
    gpus_used_once,
    one_machine_each,
)
