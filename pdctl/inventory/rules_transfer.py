"""Rules on KV transfer: shapes and settings under which prefill and decode cannot hand KV over.

Facts: vLLM 0.33's MoRI-IO connector (moriio_common.py, moriio_connector.py, config/vllm.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from pdctl.inventory.document import Loc
from pdctl.inventory.finding import Context, Finding, Rule
from pdctl.inventory.rules_settings import environments
from pdctl.inventory.slots import merged_args
from pdctl.model.deployment import ArgValue
from pdctl.model.role import Connector, Role, TransferMode

_READ_MODE = "VLLM_MORIIO_CONNECTOR_READ_MODE"
_TRUE = ("1", "true")  # how the connector reads the variable
_ALLOCATORS = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")
_REFUSED_FLAGS = {
    "enable-sleep-mode": "MoRI-IO's memory registrations do not survive sleep: vLLM refuses to start",
    "enable-return-routed-experts": "MoRI-IO does not carry routed experts: vLLM refuses to start",
}
_EQUAL_FLAGS = ("block-size", "kv-cache-dtype")


def moriio_parallel(context: Context) -> Iterator[Finding]:
    """With dp > 1 and tp > 1, MoRI-IO's listeners of different ranks take the same port and the start hangs."""
    if context.spec.kv.connector is not Connector.MORIIO:
        return
    for name, pool in context.spec.pools.items():
        tp, dp = pool.parallel.tp, pool.parallel.dp
        if tp > 1 and dp > 1:
            message = f"MoRI-IO cannot have dp {dp} with tp {tp}: rank ports are handshake_port + dp + tp and collide"
            hint = f"use dp {tp * dp} with tp 1, or tp {tp * dp} with dp 1"
            yield Finding(("pools", name, "parallel"), message, hint, needs=(("kv", "connector"),), at_key=True)


def tensor_parallel_pairs(context: Context) -> Iterator[Finding]:
    """WRITE: one TP size is a multiple of the other. READ: equal, unless KV heads are replicated (MLA)."""
    spec = context.spec
    if spec.kv.connector is not Connector.MORIIO:
        return
    for prefill, decode in product(_pools(context, Role.PREFILL), _pools(context, Role.DECODE)):
        one, two = spec.pools[prefill].parallel.tp, spec.pools[decode].parallel.tp
        sizes = f"tp {one} in {prefill!r} and tp {two} in {decode!r}"
        loc: Loc = ("pools", decode, "parallel")
        needs: tuple[Loc, ...] = (("pools", prefill, "parallel"), ("kv",), ("model", "mla"))
        if max(one, two) % min(one, two):
            message = f"{sizes}: one must be a multiple of the other"
            yield Finding(loc, message, needs=needs, at_key=True)
        elif one != two and spec.kv.mode is TransferMode.READ and not spec.model.mla:
            hint = "use `mode: write`, equal tp, or `model: {mla: true}` if the model has MLA"
            yield Finding(loc, f"{sizes}: READ mode needs equal tp unless the model has MLA", hint, needs, at_key=True)


def equal_cache_layout(context: Context) -> Iterator[Finding]:
    """Blocks are moved as they are: their size and type must be the same on both sides."""
    if not context.spec.kv.connector.moves_kv:
        return
    for prefill, decode in product(_pools(context, Role.PREFILL), _pools(context, Role.DECODE)):
        for flag in _EQUAL_FLAGS:
            one, two = _flag(context, prefill, flag), _flag(context, decode, flag)
            if one != two:
                pool = decode if flag in context.spec.pools[decode].args else prefill
                message = f"--{flag} is {_said(one)} in {prefill!r} and {_said(two)} in {decode!r}"
                needs: tuple[Loc, ...] = (("engine", "args"), ("pools", prefill, "args"), ("pools", decode, "args"))
                yield Finding(("pools", pool, "args", flag), message, "it must be equal on both sides", needs)


def moriio_flags(context: Context) -> Iterator[Finding]:
    """Flags with which an engine under MoRI-IO does not start."""
    spec = context.spec
    if spec.kv.connector is not Connector.MORIIO:
        return
    places: list[tuple[Loc, dict[str, ArgValue]]] = [(("engine", "args"), spec.engine.args)]
    places += [(("pools", name, "args"), pool.args) for name, pool in spec.pools.items()]
    for loc, args in places:
        for flag, reason in _REFUSED_FLAGS.items():
            if args.get(flag) not in (None, False):
                needs: tuple[Loc, ...] = (("kv", "connector"),)
                yield Finding((*loc, flag), f"--{flag} is refused: {reason}", "remove it", needs, at_key=True)


def moriio_environment(context: Context) -> Iterator[Finding]:
    """Variables that contradict `kv.mode`, or move memory that is registered for RDMA."""
    kv = context.spec.kv
    if kv.connector is not Connector.MORIIO:
        return
    needs: tuple[Loc, ...] = (("kv",),)
    for loc, env in environments(context):
        if _READ_MODE in env and (env[_READ_MODE].lower() in _TRUE) != (kv.mode is TransferMode.READ):
            message = f"{_READ_MODE}={env[_READ_MODE]} contradicts kv.mode: {kv.mode.value}"
            yield Finding((*loc, _READ_MODE), message, "remove it: pdctl sets the mode", needs)
        for name in _ALLOCATORS:
            if "expandable_segments:true" in env.get(name, "").lower().replace(" ", ""):
                message = "expandable_segments:True invalidates the KV registrations of MoRI-IO"
                yield Finding((*loc, name), message, "remove it", needs)


def _pools(context: Context, role: Role) -> list[str]:
    return [name for name, pool in context.spec.pools.items() if pool.role is role]


def _flag(context: Context, pool: str, flag: str) -> ArgValue:
    return merged_args(context.spec.engine.args, context.spec.pools[pool].args).get(flag)


def _said(value: ArgValue) -> str:
    return "not set" if value is None else str(value)


TRANSFER_RULES: tuple[Rule, ...] = (
    moriio_parallel,
    tensor_parallel_pairs,
    equal_cache_layout,
    moriio_flags,
    moriio_environment,
)
