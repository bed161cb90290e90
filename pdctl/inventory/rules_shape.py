"""Rules on shapes: what a slot or a group can hold, floors, and which roles go together."""

from __future__ import annotations

from collections.abc import Iterator

from pdctl.inventory.document import Loc
from pdctl.inventory.finding import PLACEMENT, Context, Finding, Rule
from pdctl.inventory.schema import PoolSection
from pdctl.inventory.slots import PlacedSlot
from pdctl.model.role import Connector, Role, RouterKind


def slots_divide(context: Context) -> Iterator[Finding]:
    """A slot's GPUs are a multiple of what one instance of its pool needs."""
    for placed in context.slots():
        pool = context.spec.pools.get(placed.slot.pool or "")
        if pool is None or placed.slot.group is not None:
            continue
        need = _ranks(pool)
        have = len(placed.slot.gpus)
        if have % need:
            message = f"{have} GPUs hold no whole number of instances: pool {placed.slot.pool!r} needs {_product(pool)}"
            hint = "to spread one instance over several nodes, give their slots one `group`" if have < need else ""
            needs: tuple[Loc, ...] = (_parallel(placed.slot.pool), (*placed.loc, "pool"), (*placed.loc, "group"))
            yield Finding((*placed.loc, "gpus"), message, hint, needs)


def pools_meet_floors(context: Context) -> Iterator[Finding]:
    """Every pool has at least `min_instances` instances. Silent where a slot's own mistake would be the cause."""
    if any(placed.slot.pool not in (None, *context.pool_names) for placed in context.slots()):
        return
    for name, pool in context.spec.pools.items():
        have = _instances(context, name, pool)
        if have is not None and have < pool.min_instances:
            count = "1 instance" if have == 1 else f"{have} instances"
            message = f"pool {name!r} has {count} and its floor is {pool.min_instances}"
            hint = "give it slots, or lower min_instances"
            needs: tuple[Loc, ...] = (*PLACEMENT, _parallel(name))
            yield Finding(("pools", name, "min_instances"), message, hint, needs)


def groups_hold_one_instance(context: Context) -> Iterator[Finding]:
    """A group is equal slots of one pool on several nodes whose GPUs are exactly one instance."""
    groups: dict[str, list[PlacedSlot]] = {}
    for placed in context.slots():
        if placed.slot.group is not None:
            groups.setdefault(placed.slot.group, []).append(placed)
    for name, members in groups.items():
        problem = _group_problem(context, name, members)
        if problem is not None:
            message, hint = problem
            loc: Loc = (*members[0].loc, "group")
            yield Finding(loc, message, hint, needs=(*PLACEMENT, _parallel(members[0].slot.pool)))


def _group_problem(context: Context, name: str, members: list[PlacedSlot]) -> tuple[str, str] | None:
    pools = sorted({placed.slot.pool or "none" for placed in members})
    sizes = sorted({len(placed.slot.gpus) for placed in members})
    nodes = {placed.slot.node for placed in members}
    if len(nodes) < len(members) or len(nodes) < 2:
        return f"group {name!r} must have one slot on each of several nodes", "one node needs no group"
    if len(pools) > 1:
        return f"group {name!r} is in several pools: {', '.join(pools)}", "a group holds one instance and moves whole"
    if len(sizes) > 1:
        return f"group {name!r} has slots of {' and '.join(map(str, sizes))} GPUs", "its slots must be equal"
    pool = context.spec.pools.get(pools[0])
    if pool is None:
        return None
    total = sizes[0] * len(members)
    if total != _ranks(pool):
        return f"group {name!r} has {total} GPUs and pool {pools[0]!r} needs {_product(pool)}", ""
    if sizes[0] % pool.parallel.tp:
        hint = "a tensor parallel group stays inside one node"
        return f"group {name!r}: {sizes[0]} GPUs a node hold no whole number of tp={pool.parallel.tp} ranks", hint
    return None


def roles_go_together(context: Context) -> Iterator[Finding]:
    """Prefill needs decode and the other way round; one router serves P/D pools or mixed pools, not both."""
    by_role: dict[Role, str] = {}
    for name, pool in context.spec.pools.items():
        by_role.setdefault(pool.role, name)
    needs: tuple[Loc, ...] = (("pools", "*", "role"),)
    if Role.MIXED in by_role and len(by_role) > 1:
        hint = "a second inventory can hold the mixed pools"
        loc: Loc = ("pools", by_role[Role.MIXED], "role")
        yield Finding(loc, "one router serves prefill and decode pools, or mixed pools, not both", hint, needs)
        return
    for role in (Role.PREFILL, Role.DECODE):
        other = role.opposite
        if role in by_role and other not in by_role:
            loc = ("pools", by_role[role], "role")
            yield Finding(loc, f"a {role} pool needs a {other} pool", "or make it `mixed`", needs)


def connector_fits_roles(context: Context) -> Iterator[Finding]:
    """P/D pools need a KV connector; mixed pools have nothing to transfer."""
    connector = context.spec.kv.connector
    roles = {pool.role for pool in context.spec.pools.values()}
    needs: tuple[Loc, ...] = (("pools", "*", "role"), ("kv",))
    if connector is Connector.DECODE_BENCH and roles != {Role.MIXED}:
        hint = "write `kv: {connector: moriio, mode: write}` to serve; `decode-bench` is for mixed pools"
        message = "decode-bench measures decode alone and moves no KV: what its engines answer means nothing"
        yield Finding(("kv", "connector"), message, hint, needs)
    if connector is Connector.NONE and roles & {Role.PREFILL, Role.DECODE}:
        hint = "write `kv: {connector: moriio, mode: write}`"
        yield Finding(("kv", "connector"), "prefill and decode pools need a KV connector", hint, needs)
    if connector.moves_kv and roles == {Role.MIXED}:
        yield Finding(("kv", "connector"), "mixed pools transfer no KV", "write `connector: none`", needs)


def router_fits_pools(context: Context) -> Iterator[Finding]:
    """The toy proxy speaks MoRI-IO's P/D protocol and nothing else."""
    router, kv = context.spec.router, context.spec.kv
    if router.kind is not RouterKind.TOY_PROXY:
        return
    if kv.connector is not Connector.MORIIO:
        hint = "vllm-router serves the others"
        message = f"the toy proxy serves MoRI-IO only, and the KV connector is {kv.connector.value}"
        yield Finding(("router", "kind"), message, hint, needs=(("kv",),))
    if router.script is None:
        hint = "its path on the node, in vLLM's examples/disaggregated/disaggregated_serving"
        yield Finding(("router", "script"), "the toy proxy needs `script`", hint)


def _instances(context: Context, name: str, pool: PoolSection) -> int | None:
    """How many instances the pool has; None where a slot cannot be divided into them."""
    own = [placed.slot for placed in context.slots() if placed.slot.pool == name]
    if any(slot.group is None and len(slot.gpus) % _ranks(pool) for slot in own):
        return None
    groups = {slot.group for slot in own if slot.group is not None}
    return len(groups) + sum(len(slot.gpus) // _ranks(pool) for slot in own if slot.group is None)


def _ranks(pool: PoolSection) -> int:
    return pool.parallel.tp * pool.parallel.dp


def _product(pool: PoolSection) -> str:
    return f"tp {pool.parallel.tp} x dp {pool.parallel.dp} = {_ranks(pool)} for each"


def _parallel(pool: str | None) -> Loc:
    return ("pools", pool or "*", "parallel")


SHAPE_RULES: tuple[Rule, ...] = (
    slots_divide,
    pools_meet_floors,
    groups_hold_one_instance,
    roles_go_together,
    connector_fits_roles,
    router_fits_pools,
)
